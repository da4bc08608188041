# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start | program MIB SECONDS SEED | files MIB SEED | end
# xvda has files, xvdb is for swap.
. /bed/lib.sh

available() { awk '$1 == "MemAvailable:" { print "available_kib=" $2 }' /proc/meminfo; }
stalled() { awk -F= '/^(some|full)/ { split($0, word, " "); print word[1] "_us=" $NF }' /proc/pressure/memory; }

case "$1" in
  start)
    mount_disk ext4 xvda
    connect
    cache_on xvda
    swap_on 0 backing=/dev/xvdb
    echo 0 > /sys/fs/cgroup/cgroup.procs  # nobody's load
    setsid tmem-guestd > /run/guestd.log 2>&1 < /dev/null &
    sleep 1
    available
    ;;
  program)
    timeout -s TERM "$3" hog --mib "$2" --seconds 1000 --seed "$4"
    status=$?
    available
    stalled
    exit $status
    ;;
esac
