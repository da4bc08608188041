# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start | enable | again | read | busy | watch | end
. /bed/lib.sh
uptime_ms() { awk '{ printf "%d\n", $1 * 1000 }' /proc/uptime; }
attached() { [ -b /dev/xvda ] && [ "$(cat /sys/block/xvda/size)" -gt 0 ]; }
case "$1" in
  start)
    mount_disk ext4 xvda
    connect
    modprobe tmem_cache || die "modprobe tmem_cache failed"
    ;;
  enable)
    dmesg -c > /dev/null
    echo xvda > $TMEM/cache/enable
    status=$?
    dmesg | tail -n 3
    exit $status
    ;;
  again)
    wait_for 20 attached || die "the disk is not attached"
    dmesg -c > /dev/null
    cache_on xvda
    kernel_complaints
    mount_disk ext4 xvda
    ;;
  read)
    wait_for 30 cache_state_is xvda on || die "the cache is $(cat $TMEM/cache/xvda/state)"
    before=$(cat $TMEM/cache/xvda/hits)
    for _ in 1 2; do fileset read /mnt --mib 96 --seed 8 || exit 1; done
    echo "hits=$(($(cat $TMEM/cache/xvda/hits) - before))"
    ;;
  busy)
    fileset read /mnt --mib 96 --seed 8
    ;;
  watch)
    # From the thaw, by when the flush is counted, until pages are kept again.
    before=$(cat $TMEM/cache/xvda/flushes)
    touch /run/watching
    while [ "$(cat $TMEM/cache/xvda/flushes)" = "$before" ]; do sleep 0.05; done
    begin=$(uptime_ms)
    until cache_state_is xvda on; do sleep 0.05; done
    echo "flushing_ms=$(($(uptime_ms) - begin))"
    ;;
  end)
    umount /mnt
    figures cache_ $TMEM/cache/xvda
    figures pool_ $TMEM/pool1
    kernel_complaints
    ;;
esac
