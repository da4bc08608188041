# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh HOGS MIB OPERATIONS SECONDS SEED [PARAMETER of tmem_swap...]
. /bed/lib.sh
load="$1 $2 $3 $4 $5"
shift 5
connect
swap_on 160 "$@"
hogs $load
status=$?
vmstat pswpin pswpout
swapoff /dev/tmemswap0 || die "swapoff failed"
exit $status
