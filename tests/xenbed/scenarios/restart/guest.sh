# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start | hog | again | end
. /bed/lib.sh
survive "$@"
case "$1" in
  start)
    connect
    swap_on 128
    ;;
  hog)
    touch /run/pause
    load hog --mib 48 --seed 21 --pause-file /run/pause > /run/hog
    status=$?
    cat /run/hog
    figures swap_ $TMEM/swap
    exit $status
    ;;
  again)
    load hog --mib 44 --seed 22
    status=$?
    figures swap_ $TMEM/swap
    exit $status
    ;;
  end)
    figures "" $TMEM
    kernel_complaints
    ;;
esac
