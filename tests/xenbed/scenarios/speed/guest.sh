# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start | blocks ROUND | traced DEVICE write|read PAGES DEPTH | swap DEVICE
. /bed/lib.sh
counters() {
  for name in requests events_sent events_received; do echo "$name $(cat $TMEM/$name)"; done
  awk '/^pswp(in|out) /' /proc/vmstat
}
# changed PREFIX: what the counters did since /run/before was written.
changed() {
  counters | awk -v p="$1" 'NR == FNR { before[$1] = $2; next } { print p $1 "=" $2 - before[$1] }' \
    /run/before -
}

# one DEVICE write|read DEPTH VERSION
one() {
  counters > /run/before
  if ! figures=$(speed "$2" "/dev/$1" --pages 1024 --depth "$3" --version "$4"); then
    figures pool0_ $TMEM/pool0
    die "$1, $2, depth $3: $figures; $(dmesg | tail -n 3)"
  fi
  for word in $figures; do echo "$1_$2_$3_$word"; done
  changed "$1_$2_$3_"
}

case "$1" in
  start)
    connect
    # The emulated host may stand still for a second while this machine does something else.
    echo 20000 > /sys/module/tmem_core/parameters/put_ms
    modprobe tmem_swap size_mb=64 || die "modprobe tmem_swap failed"
    modprobe lz4
    modprobe zram || die "modprobe zram failed"
    echo lz4 > /sys/block/zram0/comp_algorithm || die "zram has no lz4"
    echo 64M > /sys/block/zram0/disksize || die "zram has no size"
    ;;
  blocks)
    for depth in 1 8 64 256; do
      for device in tmemswap0 zram0; do
        one $device write $depth "$2$depth"
        one $device read $depth "$2$depth"
      done
    done
    ;;
  traced) speed "$3" "/dev/$2" --pages "$4" --depth "$5" --version 77 ;;
  swap)
    # A program of 12 MiB in a group that may have 8 of them.
    mkswap "/dev/$2" > /run/mkswap || die "mkswap failed"
    swapon "/dev/$2" || die "swapon failed"
    mkdir -p /sys/fs/cgroup/small
    echo 8M > /sys/fs/cgroup/small/memory.max
    counters > /run/before
    (
      echo 0 > /sys/fs/cgroup/small/cgroup.procs
      exec hog --mib 12 --operations 500 --seed 31
    )
    status=$?
    changed ""
    swapoff "/dev/$2" || die "swapoff failed"
    exit $status
    ;;
esac
