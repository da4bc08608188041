# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh none|FAULT OPERATIONS SECONDS. Ends well whether it is caught or not.
. /bed/lib.sh
mount_disk ext4 xvda
connect
cache_on xvda
[ "$1" = none ] || echo 1 > "/sys/module/tmem_cache/parameters/fault_$1" || die "no fault $1"
caught=0
echo 26M > /sys/fs/cgroup/load/memory.high
coherency /mnt --processes 6 --operations "$2" --seed 9 || caught=1
# The writer last, so that pages are evicted between the end of its writes and the kernel's own
# invalidation: then only the generations tell that they are old.
slow_writer() {
  diorace /mnt/race --mib 1 --readers 6 --seconds "$1" --seed 9 &
  _writer=$!
  sleep 2
  renice -n 19 -p $_writer
  wait $_writer
}
[ $caught = 1 ] || slow_writer "$3" || caught=1
echo max > /sys/fs/cgroup/load/memory.high
figures cache_ $TMEM/cache/xvda
echo "caught=$caught"
