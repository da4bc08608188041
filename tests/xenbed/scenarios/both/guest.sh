# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start | swap OPERATIONS | files | end
. /bed/lib.sh
case "$1" in
  start)
    mount_disk ext4 xvda
    connect
    swap_on 128
    cache_on xvda
    ;;
  swap)
    hog --mib 64 --operations "$2" --seed 51
    ;;
  files)
    for _ in 1 2 3; do fileset read /mnt --mib 48 --seed 6 || exit 1; done
    ;;
  end)
    swapoff /dev/tmemswap0 || die "swapoff failed"
    umount /mnt
    sleep 3
    figures swap_ $TMEM/swap
    figures cache_ $TMEM/cache/xvda
    figures pool0_ $TMEM/pool0
    figures pool1_ $TMEM/pool1
    kernel_complaints
    ;;
esac
