# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start | calm SECONDS | quota | press
. /bed/lib.sh
log=/run/guestd.log

start() {
  echo 0 > /sys/fs/cgroup/cgroup.procs  # nobody's load
  setsid tmem-guestd >> $log 2>&1 < /dev/null &
}
sequence() { xenstore-read data/tmem/report | tr ' ' '\n' | sed -n 's/^seq=//p'; }
cpu_ns() { cut -d' ' -f1 "/proc/$(pidof tmem-guestd)/schedstat"; }
said() { grep -c "$1" $log; }

case "$1" in
  start)
    start
    sleep 2
    cat $log
    grep -E 'Vm(Lck|RSS)' "/proc/$(pidof tmem-guestd)/status"
    ;;
  calm)
    seq=$(sequence) cpu=$(cpu_ns)
    sleep "$2"
    cpu=$((($(cpu_ns) - cpu) / 1000 / $2))
    echo "reports=$(($(sequence) - seq)) cpu_us_per_s=$cpu"
    ;;
  quota)
    # The report's node must be a new one. A folder holds no more names than fit into 2 KiB.
    kill "$(pidof tmem-guestd)"
    xenstore-rm data/tmem
    left=40
    while [ $left -gt 0 ] && xenstore-write $(for n in $(seq 50); do echo "data/fill/$left/$n x"; done); do
      left=$((left - 1))
    done
    n=0
    while xenstore-write "data/fill/last/$n" x; do n=$((n + 1)); done
    echo "filled=$(((40 - left) * 50 + n))"
    start
    wait_for 30 grep -q ENOSPC $log
    sleep 5
    echo "said=$(said ENOSPC) alive=$(pidof tmem-guestd | wc -w)"
    xenstore-rm data/fill
    wait_for 60 grep -q 'taken again' $log
    echo "said_again=$(said 'taken again')"
    ;;
  press)
    mkdir -p /sys/fs/cgroup/tight
    echo 12M > /sys/fs/cgroup/tight/memory.high
    echo 0 > /sys/fs/cgroup/tight/cgroup.procs
    timeout 40 hog --mib 14 --seconds 5
    cat /proc/pressure/memory
    ;;
esac
