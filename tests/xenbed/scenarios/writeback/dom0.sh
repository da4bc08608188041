# SPDX-License-Identifier: GPL-2.0-or-later
config='[pool]
memory = "32M"
[defaults]
compress = false'
script=/bed/scenarios/writeback/guest.sh
step() { # NAME ARGUMENT...
  name=$1
  shift
  guest_report g1 "$(guest_start g1 sh $script "$@")" 200 "$name."
}
asked() { client g1 .transport.write_back_kib_s; }
told() { # NAME
  count "$1.asked" "$(asked)"
  step "$1" figures
}
is_asked() { [ "$(asked)" -gt 0 ]; }
is_not_asked() { [ "$(asked)" = 0 ]; }

tmemd_start "$config"
guest_create g1 pv 128 "disk=['phy:$(disk writeback-swap),xvda,w']"
guest_run g1 60 sh $script start || die "the guest cannot start"
step written slots write 1 "$FEW"
sleep 40
told few
step written_more slots write $((FEW + 1)) $((MANY - FEW))
wait_for 10 is_asked || fail "the guest is not asked to write back"
count full.asked "$(asked)"
# Pages are left alone for half a minute: these for longer.
sleep 15
step wanted slots read 1 "$WANTED"
wait_for 100 is_not_asked || fail "the guest does not write back"
told calm
step wanted_again slots read 1 "$WANTED"
step all slots read 1 "$MANY"
step more_written slots write $((MANY + 1)) "$MORE"
step more slots read $((MANY + 1)) "$MORE"
tmem stats --json | count_json tmemd
tmemd_stop KILL
tmemd_start
connected() { guest_run g1 60 '[ $(cat /sys/kernel/tmem/state) = connected ]'; }
wait_for 120 connected || fail "the guest does not come back"
step survived slots read 1 $((MANY + MORE))
step end figures
