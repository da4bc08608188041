# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh files | swap
. /bed/lib.sh
case "$1" in
  files)
    mount_disk ext4 xvda
    for _ in 1 2 3 4; do fileset read /mnt --mib 48 --seed 6 || echo failed=1; echo 1 > /proc/sys/vm/drop_caches; done > /run/files
    touch /run/files.end
    ;;
  swap)
    wait_for 200 test -e /run/files.end || die "the files are not read to their end"
    tail -n 1 /run/files
    echo "passes=$(grep -c read= /run/files) bad=$(grep -c failed=1 /run/files)"
    wait_for 60 state_is connected || die "not connected: $(cat $TMEM/state)"
    swapon /dev/tmemswap0 || die "swapon failed"
    hog --mib 64 --operations 500 --seed 52 || exit 1
    swapoff /dev/tmemswap0 || die "swapoff failed"
    figures pool0_ $TMEM/pool0
    kernel_complaints
    ;;
esac
