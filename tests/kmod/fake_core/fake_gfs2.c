// SPDX-License-Identifier: GPL-2.0-or-later
/* A cluster file system without a cluster: ext4, by the name of gfs2. */
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/module.h>

static struct file_system_type *ext4;

static int init_context(struct fs_context *context)
{
	return ext4->init_fs_context(context);
}

static struct file_system_type fake_gfs2 = {
	.owner = THIS_MODULE,
	.name = "gfs2",
	.init_fs_context = init_context,
	.fs_flags = FS_REQUIRES_DEV,
};

static int __init fake_init(void)
{
	ext4 = get_fs_type("ext4");
	if (!ext4)
		return -ENODEV;
	fake_gfs2.kill_sb = ext4->kill_sb;
	return register_filesystem(&fake_gfs2);
}

/* It stays: so does its hold on ext4. */
module_init(fake_init);
MODULE_DESCRIPTION("ext4 by the name of gfs2, for tests");
MODULE_LICENSE("GPL");
