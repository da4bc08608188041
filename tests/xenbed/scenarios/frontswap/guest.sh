# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh load live|first MIB OPERATIONS SECONDS SEED | figures | loss MIB | rmmod
. /bed/lib.sh
survive "$@"
sectors_written() { awk -v d="$1" '$3 == d { print $10 }' /proc/diskstats; }
take_over() { modprobe tmem_frontswap size_mb=160 || die "modprobe tmem_frontswap failed"; }

case "$1" in
  load)
    connect
    # Each page that is read ahead is a wait of its own.
    echo 0 > /proc/sys/vm/page-cluster
    [ "$2" = live ] || take_over
    swapon /dev/xvda || die "swapon failed"
    [ "$2" = first ] || take_over
    load hog --mib "$3" --operations "$4" --seconds "$5" --seed "$6"
    status=$?
    vmstat pswpin pswpout
    echo "sectors_written=$(sectors_written xvda)"
    swapoff /dev/xvda || die "swapoff failed"
    exit $status
    ;;
  figures)
    figures pool_ $TMEM/pool2
    figures fs_ $TMEM/frontswap
    kernel_complaints
    ;;
  loss)
    swapon /dev/xvda || die "swapon failed"
    : > /run/pause
    load hog --mib "$2" --operations 0 --seed 33 --pause-file /run/pause > /run/hog
    status=$?
    cat /run/hog
    swapoff /dev/xvda
    echo "swapoff=$?"
    [ $status -ne 3 ] || status=0 # lost: the scenario counts
    exit $status
    ;;
  rmmod)
    rmmod tmem_frontswap 2> /dev/null && echo rmmod=done || echo rmmod=refused
    ;;
esac
