# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh SEED
. /bed/lib.sh
connect
swap_on 160
hog --mib 52 --operations 500 --seed "$1"
status=$?
vmstat pswpin pswpout
figures swap_ $TMEM/swap
swapoff /dev/tmemswap0 || die "swapoff failed"
exit $status
