# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "256M"'

guest_create g1 pv 128
guest_create g2 pv 128 "disk=['phy:$(disk swap-backing),xvda,w']"
start=$(uptime_ms)
load() {
  guest_start "$1" "sh /bed/scenarios/swap/guest.sh '$HOGS $HOG_MIB $OPERATIONS $LOAD_S $2' $3"
}
job1=$(load g1 "11 $SWEEP")
job2=$(load g2 "12 $SWEEP" "backing=/dev/xvda sync=$SYNC")
guest_report g1 "$job1" $((LOAD_S * 2))
guest_report g2 "$job2" "$LOAD_S"
count load_ms $(($(uptime_ms) - start))
cpu_seconds

for guest in g1 g2; do swap_settled $guest; done
tmem info --json | count_json tmemd
