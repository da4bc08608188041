# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start | slots write|read PAGES VERSION
. /bed/lib.sh
survive "$@"
case "$1" in
  start)
    # What the kernel runs when the toolstack asks.
    mkdir -p /sbin
    printf '#!/bin/sh\nexec poweroff -f\n' > /sbin/poweroff
    chmod +x /sbin/poweroff
    connect
    echo 1000 > /sys/module/tmem_core/parameters/put_ms
    modprobe tmem_swap size_mb=64 || die "modprobe tmem_swap failed"
    ;;
  slots)
    slots "$2" /dev/tmemswap0 --first 1 --pages "$3" --version "$4"
    status=$?
    [ $status -ne 3 ] || status=0 # lost: the scenario counts
    exit $status
    ;;
esac
