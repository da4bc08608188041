# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "128M"'
guest_create g1 pv 128 "disk=['phy:$(disk restart-files),xvda,w']"
script=/bed/scenarios/restart/guest.sh
step() { guest_report g1 "$(guest_start g1 sh $script "$@")" 300 "$2."; }
connected() { guest_run g1 60 '[ $(cat /sys/kernel/tmem/state) = connected ]'; }
noticed() { guest_run g1 20 '[ $(cat /sys/kernel/tmem/state) = daemon-gone ]'; }
given_up() { guest_run g1 20 '[ $(cat /sys/kernel/tmem/state) != connected ]'; }
killed() {
  tmemd_stop KILL
  wait_for 30 noticed || fail "the guest does not notice"
}
back() {
  tmemd_start
  wait_for 120 connected || fail "the guest does not come back"
}

# The device's slots, one by one; and files. What reads as an earlier version would be old.
guest_run g1 60 sh $script start || die "the guest cannot start"
step slots stored write 1 2000 1
step slots stored write 1 2000 2
step files stored_files
client g1 '{pages}' | count_json dom0
killed
step files away
back
step slots lost read 1 2000 2
step slots again write 1 1000 3
step slots anew read 1 1000 3
step slots still_lost read 1001 1000 2
step files back
step files back_again

# Not killed but silent: who reads is told so after persistent_get_ms, and after silent_ms the guest hangs up.
guest_run g1 20 sh $script limits 3000 6000
kill -STOP "$(tmemd_pid)"
begin=$(uptime_ms)
step slots silent read 1 4 3
count silent.ms $(($(uptime_ms) - begin))
wait_for 30 given_up || fail "the guest does not hang up"
kill -CONT "$(tmemd_pid)"
wait_for 120 connected || fail "the guest does not come back to a tmemd that was silent"
guest_run g1 20 sh $script limits 60000 30000
step slots after_silence read 1 1000 3
step slots rewritten write 1 1000 4
step slots at_last read 1 1000 4

# Swap, with traffic in flight.
guest_run g1 60 sh $script swapon || die "swap cannot be started"
job=$(guest_start g1 sh $script hog 48 3000)
guest_run g1 300 'until grep -q filled /run/hog; do sleep 1; done' || die "the guest is not filled"
puts=$(client g1 .counters.puts_ok)
traffic() { [ "$(client g1 .counters.puts_ok)" -gt $((puts + 200)) ]; }
wait_for 60 traffic || fail "no traffic after the fill"
# Without its swap the guest has no memory to answer with: it is asked when tmemd is back.
tmemd_stop KILL
sleep 5
back
guest_report g1 "$job" 400 hog.
guest_report g1 "$(guest_start g1 sh $script hog 44 0)" 300 after.
guest_report g1 "$(guest_start g1 sh $script end)" 30 ''
tmem stats --json | count_json tmemd
