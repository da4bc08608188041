# SPDX-License-Identifier: GPL-2.0-or-later
# Words for a scenario's guest.sh. Figures go to dom0 as key=value words of the output.
TMEM=/sys/kernel/tmem

die() { echo "$*"; exit 1; }

# wait_for LIMIT_S COMMAND...: until it succeeds.
wait_for() {
  _end=$(($(cut -d. -f1 /proc/uptime) + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$(cut -d. -f1 /proc/uptime)" -lt "$_end" ] || return 1
    sleep 0.5
  done
}

state_is() { [ "$(cat $TMEM/state)" = "$1" ]; }

# survive "$@": the script goes on as a process that is never swapped out, so that it can tell what
# became of a load whose pages are lost. (Pages charged before the change of group are still swapped,
# hence a new shell.)
survive() {
  [ -z "${SURVIVES-}" ] || return 0
  echo 0 > /sys/fs/cgroup/agent/cgroup.procs
  SURVIVES=1 exec sh "$0" "$@"
}
# load COMMAND...: one that is swapped out like any other.
load() {
  (
    echo 0 > /sys/fs/cgroup/load/cgroup.procs
    exec "$@"
  )
}

# hogs COUNT MIB OPERATIONS SECONDS SEED [OPTION...]: so many at once, on so many MiB in all, until
# OPERATIONS are done in all or SECONDS are over; the sums of what they say. Ends with a status that is
# not 0 if one of them did.
hogs() {
  _count=$1 _mib=$(($2 / $1)) _operations=$(($3 / $1)) _seconds=$4 _seed=$5 _hogs=""
  shift 5
  for _hog in $(seq "$_count"); do
    hog --mib "$_mib" --operations "$_operations" --seconds "$_seconds" \
      --seed $((_seed * 100 + _hog)) "$@" > "/run/hog.$_hog" 2>&1 &
    _hogs="$_hogs $!"
  done
  _status=0
  for _hog in $_hogs; do wait "$_hog" || _status=$?; done
  grep -hv = /run/hog.*
  cat /run/hog.* | tr ' ' '\n' | awk -F= 'NF == 2 { sum[$1] += $2 } END { for (k in sum) print k "=" sum[k] }'
  return $_status
}

# connect: loads the core and waits for tmemd.
connect() {
  # Waits longer than on real hosts: the emulated one may stand still meanwhile.
  modprobe tmem_core ephemeral_get_ms=2000 put_ms=10000 || die "modprobe tmem_core failed"
  wait_for 30 state_is connected || die "not connected to tmemd: $(cat $TMEM/state)"
}

# swap_on SIZE_MIB [PARAMETER...]: swap on the pool.
swap_on() {
  _size=$1
  shift
  modprobe tmem_swap "size_mb=$_size" "$@" || die "modprobe tmem_swap failed"
  mkswap /dev/tmemswap0 >/dev/null || die "mkswap failed"
  swapon /dev/tmemswap0 || die "swapon failed"
}

# mount_disk ext4|xfs DISK: at /mnt. Both file systems ask the kernel for crc32c, without naming a module.
mount_disk() {
  modprobe crc32c_generic
  modprobe "$1" || die "modprobe $1 failed"
  mount -t "$1" -o noatime "/dev/$2" /mnt || die "$2 cannot be mounted: $(dmesg | tail -n 2)"
}

# cache_on DISK: the cache for a disk, live.
cache_on() {
  modprobe tmem_cache || die "modprobe tmem_cache failed"
  echo "$1" > $TMEM/cache/enable || die "$1 is refused: $(dmesg | tail -n 3)"
  wait_for 20 cache_state_is "$1" on || die "$1 is not cached: $(cat $TMEM/cache/$1/reason)"
}
cache_state_is() { [ "$(cat "$TMEM/cache/$1/state")" = "$2" ]; }

# figures PREFIX FOLDER: each file of a folder of sysfs that holds one value.
figures() {
  for _file in "$2"/*; do
    [ -f "$_file" ] && echo "$1$(basename "$_file")=$(cat "$_file")"
  done
}

# vmstat NAME...: counters of the kernel, as vm_NAME.
vmstat() {
  for _name; do
    echo "vm_$_name=$(awk -v n="$_name" '$1 == n { print $2 }' /proc/vmstat)"
  done
}

# sectors_read DISK: since the guest's start.
sectors_read() { awk -v d="$1" '$3 == d { print $6 }' /proc/diskstats; }

# kernel_complaints [PATTERN]: what must not be in the kernel's log, but for lines with PATTERN; shown,
# and counted.
kernel_complaints() {
  dmesg | grep -v "${1:-^$}" | grep -E 'BUG:|WARNING:|Oops|Call Trace:|blocked for more|soft lockup|rcu.*stall' \
    > /run/complaints
  head -n 5 /run/complaints | tr = ' '
  echo "complaints=$(wc -l < /run/complaints)"
}
