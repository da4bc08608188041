# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh disks | module | agent | liar | program MIB SECONDS SEED | commit MIB SECONDS |
#                 files MIB SEED PASSES | state
# xvda has files, xvdb is for swap. Of scenarios policy and policy-guests.
. /bed/lib.sh

available() { awk '$1 == "MemAvailable:" { print "available_kib=" $2 } $1 == "MemTotal:" { print "total_kib=" $2 }' /proc/meminfo; }
# stalled: the time since boot in which some process waited for memory, or all did.
stalled() { awk -F= '{ split($0, word, " "); print word[1] "_us=" $NF }' /proc/pressure/memory; }
nobodys_load() { echo 0 > /sys/fs/cgroup/cgroup.procs; }

case "$1" in
  module)
    mount_disk ext4 xvda
    connect
    cache_on xvda
    swap_on 0 backing=/dev/xvdb
    ;;
  agent)
    nobodys_load
    setsid tmem-guestd > /run/guestd.log 2>&1 < /dev/null &
    ;;
  program)
    # Ends its work after so many seconds with the fill, then verifies every page.
    stalled | sed 's/=/_before=/'
    timeout -s TERM "$3" hog --mib "$2" --seconds 1000 --seed "$4"
    status=$?
    available
    stalled
    exit $status
    ;;
  files)
    fileset read /mnt --mib "$2" --seed "$3"
    ;;
  state)
    available
    stalled
    vmstat oom_kill pswpin pswpout
    [ ! -d $TMEM/swap ] || figures swap_ $TMEM/swap
    kernel_complaints
    ;;
esac
