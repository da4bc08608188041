# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start | hog MIB | release | burst MIB | push MIB | figures | calm SECONDS
. /bed/lib.sh

cpu_ns() { cut -d' ' -f1 "/proc/$(pidof tmem-guestd)/schedstat"; }

case "$1" in
  start)
    connect
    swap_on 160
    touch /run/hold
    echo 0 > /sys/fs/cgroup/cgroup.procs
    setsid tmem-guestd --interval 2 >> /run/guestd.log 2>&1 < /dev/null &
    sleep 2
    cat /run/guestd.log
    ;;
  hog) hog --mib "$2" --pause-file /run/hold ;;
  release) rm /run/hold ;;
  burst) dd if=/dev/zero of=/dev/null bs="$2M" count=1 2>&1 | grep -v records ;;
  push)
    # A second burst would take the pages that were brought back last, or its own.
    left=$2
    while [ "$left" -gt 0 ]; do
      echo 4M > /sys/fs/cgroup/load/memory.reclaim
      left=$((left - 4))
    done
    ;;
  figures)
    some=$(sed -n 's/^some.*total=//p' /proc/pressure/memory)
    back=$(xenstore-read data/tmem/report | tr ' ' '\n' | sed -n 's/^back=//p')
    out=$(awk '$1 == "pswpout" { print $2 }' /proc/vmstat)
    echo "some=$some back=$back out=$out cpu=$(($(cpu_ns) / 1000000)) up=$(cut -d. -f1 /proc/uptime)"
    ;;
  calm)
    sleep 10
    cpu=$(cpu_ns)
    sleep "$2"
    echo "cpu_us_per_s=$((($(cpu_ns) - cpu) / 1000 / $2))"
    kernel_complaints
    cat /run/guestd.log
    ;;
esac
