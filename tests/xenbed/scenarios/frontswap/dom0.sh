# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "256M"'

script=/bed/scenarios/frontswap/guest.sh
guest_create g1 pv 128 "disk=['phy:$(disk frontswap-1),xvda,w']"
guest_create g2 pv 128 "disk=['phy:$(disk frontswap-2),xvda,w']"
start=$(uptime_ms)
job1=$(guest_start g1 sh $script load live $HOG_MIB $OPERATIONS $LOAD_S 31)
job2=$(guest_start g2 sh $script load first $HOG_MIB $OPERATIONS $LOAD_S 32)
guest_report g1 "$job1" $((LOAD_S * 2))
guest_report g2 "$job2" "$LOAD_S"
count load_ms $(($(uptime_ms) - start))

no_persistent_pages() { [ "$(client "$guest" .pages.persistent)" = 0 ]; }
for guest in g1 g2; do
  wait_for 20 no_persistent_pages
  guest_report $guest "$(guest_start $guest sh $script figures)" 30
  client $guest . | count_json $guest.dom0
done
guest_destroy g2

# The daemon dies with all its memory while pages are in it.
job=$(guest_start g1 sh $script loss "$LOSS_MIB")
filled() { guest_run g1 20 'grep -q filled /run/hog'; }
connected() { guest_run g1 20 '[ $(cat /sys/kernel/tmem/state) = connected ]'; }
wait_for 120 filled || die "the guest did not fill its memory"
count loss.stored "$(client g1 .pages.persistent)"
noticed() { guest_run g1 20 '[ $(cat /sys/kernel/tmem/state) = daemon-gone ]'; }
tmemd_stop KILL
wait_for 30 noticed || fail "the guest does not notice"
tmemd_start
wait_for 40 connected || fail "the guest does not come back"
guest_run g1 20 'rm /run/pause'
guest_report g1 "$job" 200 loss.
guest_report g1 "$(guest_start g1 sh $script figures)" 30 loss.
guest_report g1 "$(guest_start g1 sh $script rmmod)" 30 ''
