# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh module | agent | silence | lie needy|absurd|malformed SECONDS | commit MIB SECONDS |
#                 program|press MIB SECONDS SEED | files MIB SEED | state
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
    available
    setsid tmem-guestd > /run/guestd.log 2>&1 < /dev/null &
    ;;
  silence)
    kill "$(pidof tmem-guestd)"
    ;;
  lie)
    # Instead of the agent. `needy` says what it can without contradicting itself, or what Xen counts.
    total=$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo) n=0
    end=$(($(cut -d. -f1 /proc/uptime) + $3))
    while [ "$(cut -d. -f1 /proc/uptime)" -lt $end ]; do
      n=$((n + 1))
      case "$2" in
        needy)
          say="seq=$n up_ms=$((n * 1000)) total_kib=$total free_kib=0 avail_kib=0 cache_kib=0 anon_kib=$total"
          say="$say commit_kib=1000000000000 reserve_kib=$total swap_kib=$((n * 100000)) swap_free_kib=0"
          say="1 $say refault=$((n * 1000000)) swapin=$((n * 1000000)) some_us=$((n * 1000000)) full_us=$((n * 1000000)) urgent=$n"
          ;;
        absurd)
          say="seq=$n up_ms=$((n * 1000)) total_kib=1000000000 free_kib=0 avail_kib=0 cache_kib=0 anon_kib=0"
          say="1 $say commit_kib=0 reserve_kib=0 swap_kib=0 refault=0 swapin=0"
          ;;
        malformed) say="1 seq=$n total_kib=-1 or 18446744073709551616" ;;
      esac
      xenstore-write data/tmem/report "$say"
      sleep 1
    done
    ;;
  press)
    # Without a last look at the pages, which takes long where they do not all fit.
    timeout -s KILL "$3" hog --mib "$2" --seconds 1000 --seed "$4"
    stalled
    ;;
  commit)
    # A buffer that the kernel counts as committed and that is never touched: no pressure.
    sleep "$3" | dd of=/dev/null bs="$2M" 2> /run/dd.log
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
