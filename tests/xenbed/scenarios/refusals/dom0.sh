# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "128M"
[[client]]
name = "g1"
cap = "12M"
[[client]]
name = "g2"
cap = "4M"'

# With a disk.
guest_create g1 pv 128 "disk=['phy:$(disk swap-backing),xvda,w']"
job=$(guest_start g1 sh /bed/scenarios/swap/guest.sh "'1 52 $OPERATIONS $LOAD_S 13'" \
  backing=/dev/xvda)
guest_report g1 "$job" "$LOAD_S"
swap_settled g1
cpu_seconds
guest_destroy g1

# Without.
guest_create g2 pv 128 "disk=['phy:$(disk both-files),xvda,w']"
job=$(guest_start g2 sh /bed/scenarios/refusals/guest.sh 28 "$ALONE_OPERATIONS" 14)
guest_report g2 "$job" "$LOAD_S"
swap_settled g2
