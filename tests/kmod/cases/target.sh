# SPDX-License-Identifier: GPL-2.0-or-later
# The device-mapper target: the cache, coherency, a live table, slow writes, what is refused, unloading.
# MEMORY 512
# SECONDS 300
core_options="pages=32768 put_slots=1000 delay_us=20"
load
check "tmem_cache_dm loads" modprobe tmem_cache_dm
sectors=$(cat /sys/block/vda/size)
table() { echo "0 $sectors tmem-cache /dev/$1"; }
check "the target is made" dmsetup create --noudevsync cached --table "$(table vda)"
node=$(basename "$(readlink -f /sys/block/dm-0)")
dmsetup mknodes
check "its front end is the target" [ "$(stat_of "$node" front_end)" = target ]
check "it is mounted" mount -t ext4 /dev/mapper/cached /mnt/a
fileset create /mnt/a --mib 64 > /run/created
sync
drop_caches 3
check "the files are intact" fileset read /mnt/a --mib 64
drop_caches
before=$(sectors_read vda)
check "the files are intact" fileset read /mnt/a --mib 64
count target.sectors $(($(sectors_read vda) - before))
check "most came from the pool" [ $(($(sectors_read vda) - before)) -lt 65536 ]
check "coherency" coherency /mnt/a --processes 4 --operations 400
check "direct writes against readers" diorace /mnt/a/race --mib 4 --seconds 8
counts_of "$node"

# A table is replaced under load; what was cached is forgotten.
coherency /mnt/a --processes 3 --operations 300 --seed 5 > /run/load 2>&1 &
job=$!
for round in 1 2 3 4; do
  sleep 1
  check "the table is loaded" dmsetup load cached --table "$(table vda)"
  check "it is suspended" dmsetup suspend --noudevsync cached
  check "nothing is cached while suspended" [ ! -e $cache/$node ]
  check "it is resumed" dmsetup resume --noudevsync cached
  check "it is cached again" [ -e $cache/$node ]
done
check "coherency over new tables" wait $job
cat /run/load
umount /mnt/a
check "it is removed" dmsetup remove --noudevsync cached
fsck_ext4 vda

# The probes stay when the last target has gone; so must tmem_cache.
check "the target's module goes" rmmod tmem_cache_dm
check "the cache's module stays" eval '! rmmod tmem_cache 2> /dev/null'
check "tmem_cache_dm loads" modprobe tmem_cache_dm

# More writes are in flight than there are ios.
modprobe dm-delay
dmsetup create --noudevsync slow --table "0 $sectors delay /dev/vda 0 0 /dev/vda 0 1000"
dmsetup mknodes
check "the target is made" dmsetup create --noudevsync cached --table "$(table mapper/slow)"
dmsetup mknodes
node=$(basename "$(ls -d $cache/dm-*)")
check "it is mounted" mount -t ext4 /dev/mapper/cached /mnt/a
fileset create /mnt/a --mib 96 > /run/created
sync
drop_caches 3
echo 80 > /proc/sys/vm/dirty_background_ratio
echo 90 > /proc/sys/vm/dirty_ratio
check "the files are intact" fileset read /mnt/a --mib 96 --order random --rewrite 50
sync
check "writes were deferred" [ "$(stat_of "$node" writes_deferred)" -gt 100 ]
drop_caches 3
check "the files are intact" fileset read /mnt/a --mib 96
counts_of "$node"
umount /mnt/a
dmsetup remove --noudevsync cached
dmsetup remove --noudevsync slow
fsck_ext4 vda

# An objection to any disk below is one to the target.
layer() { # NAME TABLE...
  name=$1
  shift
  check "a layer: $name" dmsetup create --noudevsync "$name" "$@"
  dmsetup mknodes
}
linear() { echo "0 $(blockdev --getsz "/dev/$1") linear /dev/$1 0"; }
not_made() { # DEVICE WHY
  check "$1 is refused" eval \
    "! dmsetup create --noudevsync no --table '0 2048 tmem-cache /dev/$1' 2> /dev/null"
  check "the log says: $2" eval "dmesg | tail -n 3 | grep -qF '$2'"
}
made() { # DEVICE...
  check "$* is taken" dmsetup create --noudevsync yes --table "0 2048 tmem-cache /dev/$*"
  dmsetup remove --noudevsync yes
}
not_made vdc "it is read-only here"
made vdc force
layer lv --table "$(linear vdd)"
layer lv2 --table "$(linear mapper/lv)"
made mapper/lv2
dmsetup remove --noudevsync lv2
dmsetup remove --noudevsync lv
layer lv --table "$(linear vdc)"
layer lv2 --table "$(linear mapper/lv)"
not_made mapper/lv "it is read-only here"
not_made mapper/lv2 "it is read-only here"
made mapper/lv2 force
dmsetup remove --noudevsync lv2
dmsetup remove --noudevsync lv
layer lv --table "$(linear vdd)"
not_made vdd "another device-mapper device lies on it too"
made vdd force
dmsetup remove --noudevsync lv
check "the target is made" dmsetup create --noudevsync own --table "0 2048 tmem-cache /dev/vdd"
check "its own table is no other" dmsetup load own --table "0 2048 tmem-cache /dev/vdd"
not_made vdd "another device-mapper device lies on it too"
dmsetup remove --noudevsync own
layer paths --uuid mpath-test --table "$(linear vdd)"
not_made vdd "another device-mapper device lies on it too"
not_made mapper/paths "it is multipath storage"
layer lv --table "$(linear mapper/paths)"
not_made mapper/lv "it is multipath storage"
made mapper/lv force
dmsetup remove --noudevsync lv
dmsetup remove --noudevsync paths
modprobe loop
losetup /dev/loop0 /dev/vdd
layer lv --table "$(linear loop0)"
not_made mapper/lv "its contents are a file"
dmsetup remove --noudevsync lv
losetup -d /dev/loop0
device=vdd
for layer in 1 2 3 4 5 6 7 8; do
  layer "layer$layer" --table "$(linear $device)"
  device=mapper/layer$layer
done
not_made mapper/layer8 "too many layers"
dmsetup remove --noudevsync layer8
made mapper/layer7
for layer in 7 6 5 4 3 2 1; do
  dmsetup remove --noudevsync "layer$layer"
done

# A hook below a target sees the target's bios, and both keep their own pages.
check "the target is made" dmsetup create --noudevsync cached --table "$(table vda)"
check "a hook on a disk that a target uses is refused" eval '! echo vda > $cache/enable'
enable vda:force
dmsetup mknodes
check "it is mounted" mount -t ext4 /dev/mapper/cached /mnt/a
check "coherency with both" coherency /mnt/a --processes 3 --operations 300
umount /mnt/a
all_writes_seen vda
check "the hook saw the writes" [ "$(stat_of vda writes)" -gt 100 ]
dmsetup remove --noudevsync cached
fsck_ext4 vda
