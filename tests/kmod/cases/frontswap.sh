# SPDX-License-Identifier: GPL-2.0-or-later
# Disk swap through frontswap, with a core that refuses, fails and loses: lost pages, never old ones.
# MEMORY 256
# SECONDS 600
# FAULTS
core_options="pages=8192 delay_us=100 refuse_percent=3 no_flush_percent=20"
swap=/sys/kernel/tmem/frontswap
# Only the load is swapped: whoever's page is lost is killed.
mount -t cgroup2 cgroup /sys/fs/cgroup
echo +memory > /sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/load
echo 48M > /sys/fs/cgroup/load/memory.max
limited() {
  (
    echo 0 > /sys/fs/cgroup/load/cgroup.procs
    exec "$@"
  )
}
now() { cat "$swap/$1"; }
figure() { tr ' ' '\n' < /run/hog | sed -n "s/^$1=//p" | tail -n 1; }
# hogs NAME STATUSES SEED: statuses as a pattern; 0 intact, 1 wrong, 3 lost.
hogs() {
  # A file that it writes itself would be swapped, too.
  said=$(limited hog --mib 100 --operations 2000 --seed "$3")
  status=$?
  echo "$said" > /run/hog
  eval "case $status in $2) ;; *) fail '$1: hog ended with $status' ;; esac"
  for name in wrong lost verified; do count "$1.$name" "$(figure $name)"; done
}
check "there is swap" eval "mkswap /dev/vdd > /run/mkswap && swapon /dev/vdd"
# Old pages on the disk, which none of the reads to come may see.
limited hog --mib 120 --operations 0 --seed 1 > /run/hog || fail "hog without the pool"
check "tmem_core loads" modprobe tmem_core $core_options
check "tmem_frontswap loads" modprobe tmem_frontswap
check "it cannot be unloaded" eval '! rmmod tmem_frontswap 2> /run/rmmod'

hogs intact 0 2
check "pages were stored" [ "$(now stores_pool)" -gt 2000 ]
check "pages were loaded" [ "$(now loads_pool)" -gt 2000 ]
check "pages were refused" [ "$(now stores_refused)" -gt 100 ]
check "the guard had nothing to do" [ "$(now reads_guarded)" = 0 ]

fake fail_percent 5
fake lose_percent 1
hogs failing 3 3
check "the guard had something to do" [ "$(now reads_guarded)" -gt 10 ]
fake fail_percent 0
fake lose_percent 0

break_and_mend() {
  while [ -e /run/breaking ]; do
    sleep 3
    fake connected 0
    sleep 1
    fake connected 1
  done
}
touch /run/breaking
break_and_mend &
hogs breaking '0|3' 5
rm /run/breaking
wait
check "pages were lost" [ "$(now lost)" -gt 100 ]

hogs again '0' 6
check "swapoff" swapoff /dev/vdd
check "the pool has no pages" [ "$(now pool_pages)" = 0 ]
sleep 2
check "the core has none" [ "$(cat /sys/module/tmem_core/parameters/held)" = 0 ]
for file in $swap/*; do count "${file##*/}" "$(cat "$file")"; done

# The test has teeth: without the guard, old pages are read from the disk.
check "swapon" swapon /dev/vdd
echo 1 > /sys/module/tmem_frontswap/parameters/fault_no_guard
fake fail_percent 5
hogs unguarded 1 7
