# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start [PARAMETER of tmem_swap] | hog
. /bed/lib.sh
survive "$@"
case "$1" in
  start)
    shift
    connect
    swap_on 128 "$@"
    ;;
  hog)
    touch /run/pause
    load hog --mib 52 --seed 61 --pause-file /run/pause > /run/hog
    ;;
esac
