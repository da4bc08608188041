# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start QUEUES | round OPERATIONS SEED
. /bed/lib.sh
events() { awk '$NF == "tmem" { print $1, $2 + $3 }' /proc/interrupts; }
swap_out() { awk '$1 == "pswpout" { print $2 }' /proc/vmstat; }
case "$1" in
  start)
    modprobe tmem_core "queues=$2" ephemeral_get_ms=2000 put_ms=10000 || die "modprobe tmem_core failed"
    wait_for 30 state_is connected || die "not connected to tmemd: $(cat $TMEM/state)"
    modprobe tmem_swap size_mb=128 || die "modprobe tmem_swap failed"
    [ -b /dev/xvda ] || exit 0
    mount_disk ext4 xvda
    cache_on xvda
    ;;
  round)
    mkswap /dev/tmemswap0 > /dev/null && swapon /dev/tmemswap0 || die "swap cannot be started"
    events > /run/events
    out=$(swap_out) hits=0 files=
    if [ -b /dev/xvda ]; then
      hits=$(cat $TMEM/cache/xvda/hits)
      (for _ in 1 2 3; do fileset read /mnt --mib 48 --seed 16 || exit 1; done) > /run/files &
      files=$!
    fi
    hogs 2 72 "$2" 200 "$3"
    echo "hogs_failed=$?"
    [ -z "$files" ] || { wait "$files"; echo "files_failed=$?"; }
    swapoff /dev/tmemswap0 || die "swapoff failed"
    sleep 3
    echo "out=$(($(swap_out) - out)) queues=$(cat $TMEM/queues) epochs_lost=$(cat $TMEM/epochs_lost)"
    echo "busy_queues=$(events | grep -cvxFf /run/events)"
    [ -z "$files" ] || echo "hits=$(($(cat $TMEM/cache/xvda/hits) - hits))"
    figures pool0_ $TMEM/pool0
    [ ! -d $TMEM/pool1 ] || figures pool1_ $TMEM/pool1
    kernel_complaints
    ;;
esac
