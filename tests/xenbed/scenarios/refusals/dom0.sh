# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "128M"
[[client]]
name = "g1"
cap = "12M"
[[client]]
name = "g2"
cap = "4M"'

guest_create g1 pv 128 "disk=['phy:$(disk swap-backing),xvda,w']"
guest_create g2 pv 128 "disk=['phy:$(disk both-files),xvda,w']"
job1=$(guest_start g1 sh /bed/scenarios/swap/guest.sh 1 52 "$OPERATIONS" "$LOAD_S" 13 backing=/dev/xvda)
job2=$(guest_start g2 sh /bed/scenarios/refusals/guest.sh 28 "$OPERATIONS" 14)
guest_report g1 "$job1" $((LOAD_S + 100))
guest_report g2 "$job2" $LOAD_S
for guest in g1 g2; do swap_settled $guest; done
