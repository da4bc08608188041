# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh 'ARGUMENTS of hogs' [PARAMETER of tmem_swap...]
. /bed/lib.sh
load=$1
shift
connect
swap_on 160 "$@"
hogs $load
status=$?
vmstat pswpin pswpout
swapoff /dev/tmemswap0 || die "swapoff failed"
exit $status
