# SPDX-License-Identifier: GPL-2.0-or-later
# What is refused, what is forced, enabling and disabling under load, file systems that are not cached, unloading.
# The modes of Xen disks (`r`, `w!`) are read from xenstore: not here.
# MEMORY 512
# SECONDS 300
core_options="pages=32768 put_slots=512"
load
check "it can be unloaded while no disk was enabled" rmmod tmem_cache
check "tmem_cache loads" modprobe tmem_cache
echo 0 > /proc/sys/kernel/ftrace_enabled
refused vda
said "submit_bio_noacct cannot be hooked"
echo 1 > /proc/sys/kernel/ftrace_enabled
check "it stays although the hook was refused" eval '! rmmod tmem_cache 2> /dev/null'
refused nothing
refused vdc
said "vdc is not cached: it is read-only"
enable vdc:force
check "it is forced" [ "$(stat_of vdc forced)" = 1 ]
echo vdc > $cache/disable
check "disabling removes the folder" [ ! -e $cache/vdc ]

modprobe loop
dd if=/dev/zero of=/run/file bs=1M count=32 2> /dev/null
check "a loop device" losetup /dev/loop0 /run/file
refused loop0
said "loop0 is not cached: its contents are a file"
losetup -d /dev/loop0
dmsetup create --noudevsync linear --table "0 $(cat /sys/block/vdd/size) linear /dev/vdd 0"
dmsetup mknodes
refused vdd
said "vdd is not cached: it is part of another device"
refused dm-0
dmsetup remove --noudevsync linear

enable vda
refused vda
check "ext4 is mounted" mount -t ext4 /dev/vda /mnt/a
coherency /mnt/a --processes 4 --operations 500 > /run/load 2>&1 &
job=$!
for round in 1 2 3 4 5; do
  sleep 1
  echo vda > $cache/disable
  sleep 1
  enable vda
done
check "coherency while enabled and disabled" wait $job
cat /run/load
all_writes_seen vda
umount /mnt/a
fsck_ext4 vda

bzcat /bed/btrfs.img.bz2 > /dev/vdd
enable vdd
check "btrfs is mounted" mount -t btrfs /dev/vdd /mnt/b
fileset create /mnt/b --mib 8 > /run/created
sync
check "no btrfs was seen" [ "$(cat $cache/btrfs_evictions)" = 0 ]
drop_caches 3
check "its evictions are counted" [ "$(cat $cache/btrfs_evictions)" -gt 1000 ]
said "btrfs is in use"
check "it is not put" [ "$(stat_of vdd puts)" = 0 ]
check "its files are intact" fileset read /mnt/b --mib 8
all_writes_seen vdd
umount /mnt/b

modprobe fake_gfs2
check "a cluster file system is mounted" mount -t gfs2 /dev/vda /mnt/a
fileset create /mnt/a --mib 8 > /run/created
sync
check "nobody has seen it" [ "$(stat_of vda state)" = on ]
drop_caches
check "it turns the cache off" [ "$(stat_of vda state)" = off ]
check "and this is said" grep -q "cluster file system" $cache/vda/reason
echo vda > $cache/disable
enable vda:force
check "its files are intact" fileset read /mnt/a --mib 8
drop_caches
check "an owner can insist" [ "$(stat_of vda state)" = on ]
check "its files are not put" [ "$(stat_of vda puts)" = 0 ]
umount /mnt/a
echo vda > $cache/disable

check "the module stays" eval '! rmmod tmem_cache 2> /dev/null'
