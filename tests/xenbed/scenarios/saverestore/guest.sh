# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start [PARAMETER of tmem_swap] | hog OPERATIONS | end
. /bed/lib.sh
survive "$@"
case "$1" in
  start)
    shift
    connect
    swap_on 128 "$@"
    ;;
  hog)
    load hog --mib 52 --seed 61 --operations "$2" > /run/hog
    ;;
  end)
    while pidof hog >/dev/null; do sleep 1; done
    cat /run/hog
    figures "" $TMEM
    figures swap_ $TMEM/swap
    kernel_complaints
    ;;
esac
