# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "128M"'
guest_create g1 pv 128
guest_run g1 60 'sh /bed/scenarios/restart/guest.sh start' || die "swap cannot be started"
job=$(guest_start g1 'sh /bed/scenarios/restart/guest.sh hog')
filled() { guest_run g1 20 'grep -q filled /run/hog'; }
wait_for 120 filled || die "the guest did not fill its memory"
count pages_in_pool "$(client g1 .pages.persistent)"

tmemd_stop KILL
guest_run g1 30 'cat /sys/kernel/tmem/state' | grep -q daemon-gone || fail "the guest does not notice"
tmemd_start
connected() { guest_run g1 20 'grep -q connected /sys/kernel/tmem/state'; }
wait_for 40 connected || fail "the guest does not come back"

guest_run g1 20 'rm /run/pause'
guest_join g1 "$job" 200 > /run/out
status=$?
count_pairs lost. < /run/out
check "hog says that pages are lost" $status -eq 3
guest_report g1 "$(guest_start g1 sh /bed/scenarios/restart/guest.sh again)" 200 after.
guest_report g1 "$(guest_start g1 sh /bed/scenarios/restart/guest.sh end)" 30 ''
tmem stats --json | count_json tmemd
