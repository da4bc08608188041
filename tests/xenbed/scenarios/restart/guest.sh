# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start | limits PERSISTENT_GET_MS SILENT_MS | swapon | end
#        guest.sh slots NAME write|read FIRST PAGES VERSION | files NAME | hog MIB OPERATIONS
. /bed/lib.sh
survive "$@"
case "$1" in
  start)
    mount_disk ext4 xvda
    connect
    # The default: while tmemd is gone, pages that cannot be swapped out stay where they are.
    echo 1000 > /sys/module/tmem_core/parameters/put_ms
    modprobe tmem_swap size_mb=128 || die "modprobe tmem_swap failed"
    cache_on xvda
    # Page cache for half of the files.
    echo 16M > /sys/fs/cgroup/load/memory.high
    ;;
  slots)
    slots "$3" /dev/tmemswap0 --first "$4" --pages "$5" --version "$6"
    status=$?
    [ $status -ne 3 ] || status=0  # lost: the scenario counts
    exit $status
    ;;
  limits)
    echo "$2" > /sys/module/tmem_core/parameters/persistent_get_ms
    echo "$3" > /sys/module/tmem_core/parameters/silent_ms
    ;;
  files)
    echo 1 > /proc/sys/vm/drop_caches
    sectors=$(sectors_read xvda) hits=$(cat $TMEM/cache/xvda/hits)
    load fileset read /mnt --mib 32 --seed 23
    status=$?
    echo "sectors=$(($(sectors_read xvda) - sectors)) hits=$(($(cat $TMEM/cache/xvda/hits) - hits))"
    exit $status
    ;;
  swapon)
    echo max > /sys/fs/cgroup/load/memory.high
    mkswap /dev/tmemswap0 >/dev/null && swapon /dev/tmemswap0
    ;;
  hog)
    load hog --mib "$2" --operations "$3" --seed 21 > /run/hog
    status=$?
    cat /run/hog
    figures swap_ $TMEM/swap
    [ $status -ne 3 ] || status=0
    exit $status
    ;;
  end)
    figures "" $TMEM
    kernel_complaints
    ;;
esac
