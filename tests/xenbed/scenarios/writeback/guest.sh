# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start | slots write|read FIRST PAGES | figures
. /bed/lib.sh
stat() { cat "$TMEM/swap/$1"; }
case "$1" in
  start)
    connect
    modprobe tmem_swap backing=/dev/xvda || die "modprobe tmem_swap failed"
    ;;
  slots)
    disk=$(stat reads_disk) refused=$(stat writes_disk)
    slots "$2" /dev/tmemswap0 --first "$3" --pages "$4" --version 1
    status=$?
    echo "from_disk=$(($(stat reads_disk) - disk)) refused=$(($(stat writes_disk) - refused))"
    [ $status -ne 3 ] || status=0  # lost: the scenario counts
    exit $status
    ;;
  figures)
    figures "" $TMEM/swap
    kernel_complaints
    ;;
esac
