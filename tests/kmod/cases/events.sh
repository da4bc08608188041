# SPDX-License-Identifier: GPL-2.0-or-later
# What makes all that is cached worthless: a resize, a resume, another medium, a write error, the end of a disk.
# A resume under Xen is told by another notifier, which does the same: not here.
# MEMORY 512
# SECONDS 300
core_options="pages=32768 delay_us=50"
load disks=vdb
fill() { # DISK FOLDER: until the pool holds pages
  fileset create "$2" --mib 24 > /run/created
  sync
  drop_caches 3
  check "$1: pages are in the pool" [ "$(stat_of "$1" pages)" -gt 1000 ]
}
within() { # SECONDS COMMAND...
  end=$(($(cut -d. -f1 /proc/uptime) + $1))
  shift
  until eval "$*"; do
    [ "$(cut -d. -f1 /proc/uptime)" -lt $end ] || return 1
    sleep 1
  done
}
# Another medium: a copy whose first file has other bytes.
check "ext4 is mounted" mount -t ext4 /dev/vda /mnt/a
fileset create /mnt/a --mib 24 > /run/created
umount /mnt/a
dd if=/dev/vda of=/dev/vdd bs=1M 2> /dev/null
check "the copy is mounted" mount -t ext4 /dev/vdd /mnt/a
dd if=/dev/urandom of=/mnt/a/00000 bs=64k count=8 conv=notrunc 2> /dev/null
sum=$(md5sum < /mnt/a/00000)
umount /mnt/a
modprobe loop
losetup -r /dev/loop0 /dev/vda
enable loop0:force
check "the first medium is mounted" mount -t ext4 -o ro /dev/loop0 /mnt/a
check "the files are intact" fileset read /mnt/a --mib 24
drop_caches
check "loop0: pages are in the pool" [ "$(stat_of loop0 pages)" -gt 1000 ]
umount /mnt/a
flushes=$(stat_of loop0 flushes)
check "the medium is changed" change_medium /dev/loop0 /dev/vdd
check "the second medium is mounted" mount -t ext4 -o ro /dev/loop0 /mnt/a
check "it is read, not the pool" [ "$(md5sum < /mnt/a/00000)" = "$sum" ]
check "another medium flushes" [ "$(stat_of loop0 flushes)" -gt "$flushes" ]
check "then it is on again" within 5 '[ "$(stat_of loop0 state)" = on ]'
umount /mnt/a
echo loop0 > $cache/disable
losetup -d /dev/loop0

enable vda
check "ext4 is mounted" mount -t ext4 /dev/vda /mnt/a
fill vda /mnt/a
echo "@monitor block_resize ext4 600M"
check "the disk grows" within 10 '[ "$(cat /sys/block/vda/size)" = 1228800 ]'
hits=$(stat_of vda hits)
check "the files are intact" fileset read /mnt/a --mib 24
check "a resize flushes" [ "$(stat_of vda flushes)" -gt 0 ]
check "nothing came from the pool" [ "$(stat_of vda hits)" = "$hits" ]
check "then it is on again" within 5 '[ "$(stat_of vda state)" = on ]'
fill vda /mnt/a
check "the files are intact" fileset read /mnt/a --mib 24
check "pages come from the pool again" [ "$(stat_of vda hits)" -gt "$hits" ]

fill vda /mnt/a
hits=$(stat_of vda hits)
flushes=$(stat_of vda flushes)
echo freezer > /sys/power/pm_test
echo 1 > /sys/module/suspend/parameters/pm_test_delay
check "the machine sleeps" eval 'echo freeze > /sys/power/state'
check "a resume flushes" [ "$(stat_of vda flushes)" -gt "$flushes" ]
check "then it is on again" within 5 '[ "$(stat_of vda state)" = on ]'
check "the pool is empty" [ "$(cat /sys/module/tmem_core/parameters/held)" = 0 ]
check "the files are intact" fileset read /mnt/a --mib 24
check "nothing came from the pool" [ "$(stat_of vda hits)" = "$hits" ]
umount /mnt/a

check "vdb is cached" [ -e $cache/vdb ]
echo "@monitor device_del xfs-device"
check "a disk that is gone is let go of" within 25 '[ ! -e $cache/vdb ]'

# Writes fail below a target.
modprobe -a dm-flakey tmem_cache_dm
echo vda > $cache/disable
size=$(cat /sys/block/vda/size)
good="0 $size linear /dev/vda 0"
check "a device to fail" dmsetup create --noudevsync below --table "$good"
dmsetup mknodes
check "the target is made" dmsetup create --noudevsync cached \
  --table "0 $size tmem-cache /dev/mapper/below"
dmsetup mknodes
node=$(basename "$(ls -d $cache/dm-*)")
check "it is mounted" mount -t ext4 /dev/mapper/cached /mnt/a
fill "$node" /mnt/a
dmsetup load below --table "0 $size flakey /dev/vda 0 0 1 1 error_writes"
dmsetup suspend --noudevsync --nolockfs below
dmsetup resume --noudevsync below
dd if=/dev/zero of=/mnt/a/more bs=64k count=4 oflag=direct 2> /run/dd
check "the write failed" grep -q "error" /run/dd
dmsetup load below --table "$good"
dmsetup suspend --noudevsync --nolockfs below
dmsetup resume --noudevsync below
check "write errors are counted" [ "$(stat_of "$node" write_errors)" -gt 0 ]
check "a write error flushes" [ "$(stat_of "$node" flushes)" -gt 0 ]
check "then it is on again" within 5 '[ "$(stat_of "$node" state)" = on ]'
umount /mnt/a
dmsetup remove --noudevsync cached
dmsetup remove --noudevsync below
