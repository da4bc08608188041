# SPDX-License-Identifier: GPL-2.0-or-later
# The device-mapper target: the cache, coherency, a live table, what is refused.
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

check "a read-only disk is refused" eval \
  '! dmsetup create --noudevsync no --readonly --table "0 $sectors tmem-cache /dev/vdc" 2> /dev/null'
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
