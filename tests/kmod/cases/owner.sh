# SPDX-License-Identifier: GPL-2.0-or-later
# What is refused, what is forced, enabling and disabling under load, the end of a disk, btrfs.
# MEMORY 512
# SECONDS 300
core_options="pages=32768 put_slots=512"
load
refused() { check "$1 is refused" eval "! echo $1 > $cache/enable 2> /dev/null"; }
refused nothing
refused vdc
check "its log says why" eval 'dmesg | grep -q "vdc is not cached: it is read-only"'
enable vdc:force
check "it is forced" [ "$(stat_of vdc forced)" = 1 ]
echo vdc > $cache/disable
check "disabling removes the folder" [ ! -e $cache/vdc ]

modprobe loop
dd if=/dev/zero of=/run/file bs=1M count=32 2> /dev/null
check "a loop device" losetup /dev/loop0 /run/file
refused loop0
check "its log says why" eval 'dmesg | grep -q "loop0 is not cached: its contents are a file"'
losetup -d /dev/loop0
dmsetup create --noudevsync linear --table "0 $(cat /sys/block/vdd/size) linear /dev/vdd 0"
dmsetup mknodes
refused vdd
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
echo vda > $cache/disable
fsck_ext4 vda

check "the module stays" eval '! rmmod tmem_cache 2> /dev/null'
