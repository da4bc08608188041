# SPDX-License-Identifier: GPL-2.0-or-later
# The tests have teeth: a cache that is broken on purpose is caught by them, or by its own checks.
# MEMORY 512
# SECONDS 400
# FAULTS
core_options="pages=32768 delay_us=200 put_slots=512"
fault() { echo "$2" > "/sys/module/tmem_cache/parameters/fault_$1"; }
load fault_blind_hook=1 disks=vda
check "a hook that sees nothing is refused" [ ! -e $cache/vda ]
fault blind_hook 0
enable vda
all_writes_seen vda
echo vda > $cache/disable
# Each fault gets a new file system, since it may ruin the one it is tried on.
fresh() {
  dd if=/dev/vda of=/dev/vdd bs=1M 2> /dev/null
  enable vdd
  check "a copy is mounted" mount -t ext4 /dev/vdd /mnt/b
}
stale() { # FAULT COMMAND...
  name=$1
  shift
  fault "$name" 1
  if "$@" > /run/output 2>&1; then
    fail "$name was not caught by $1"
    cat /run/output
  fi
  count "$name" "$(tail -n 1 /run/output)"
  fault "$name" 0
}
umount_all() {
  umount /mnt/b
  echo vdd > $cache/disable
}
fresh
stale no_invalidate coherency /mnt/b --processes 4 --operations 400
umount_all
fresh
# On one CPU, and the writer last, so that pages are evicted between the end of its writes and the
# kernel's own invalidation: then only the generations tell that they are old.
other_cpus() {
  for cpu in /sys/devices/system/cpu/cpu[1-9]*/online; do
    [ ! -e "$cpu" ] || echo "$1" > "$cpu"
  done
}
slow_writer() {
  diorace /mnt/b/race --mib 1 --readers 6 --seconds 30 &
  writer=$!
  sleep 2
  renice -n 19 -p $writer
  wait $writer
}
other_cpus 0
stale no_generation slow_writer
other_cpus 1
umount_all
fresh
stale wrong_hits coherency /mnt/b --processes 2 --operations 400
umount_all

# Not a fault of the cache: without ios reads pass it by, and writes go through its worker.
fresh
fault no_ios 1
check "coherency without ios" coherency /mnt/b --processes 4 --operations 300
fault no_ios 0
check "writes were deferred" [ "$(stat_of vdd writes_deferred)" -gt 100 ]
check "coherency with ios again" coherency /mnt/b --processes 4 --operations 200
all_writes_seen vdd
umount_all

fresh
echo 100 > /sys/module/tmem_cache/parameters/spot_check_percent
fileset create /mnt/b --mib 32 > /run/created
sync
drop_caches 3
fault wrong_hits 1
check "a spot check replaces wrong bytes" fileset read /mnt/b --mib 32
drop_caches 3
check "a spot check replaces wrong bytes" fileset read /mnt/b --mib 32
sleep 7
check "a difference turns the cache off" [ "$(stat_of vdd state)" = off ]
check "and it says why" grep -q difference $cache/vdd/reason
counts_of vdd
umount_all
