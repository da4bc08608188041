# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start | read SET_MIB [OPTION of fileset...] | read_on SET_MIB | fill_swap | read_swap | end
. /bed/lib.sh
PAGES=16384
files() {
  fileset read /mnt --mib "$@" --seed 61
}
case "$1" in
  start)
    mount_disk ext4 xvda
    connect
    cache_on xvda
    modprobe tmem_swap size_mb=80 || die "modprobe tmem_swap failed"
    ;;
  read)
    shift
    files "$@"
    ;;
  read_on)
    # Until dom0 takes the file away.
    touch /run/read_on
    while [ -e /run/read_on ]; do files "$2" || exit 1; done
    ;;
  fill_swap) speed write /dev/tmemswap0 --pages $PAGES --depth 64 --seed 62 ;;
  read_swap) speed read /dev/tmemswap0 --pages $PAGES --passes 5 --depth 16 --seed 62 ;;
  end)
    umount /mnt
    rmmod tmem_swap
    figures "" $TMEM
    kernel_complaints
    ;;
esac
