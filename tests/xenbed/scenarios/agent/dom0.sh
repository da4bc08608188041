# SPDX-License-Identifier: GPL-2.0-or-later
script="sh /bed/scenarios/agent/guest.sh"
save=/bed/guest.save

node() { echo "/local/domain/$(domid g1)/$1"; }
report() { xenstore-read "$(node data/tmem/report)"; }
# value KEY: of the last report.
value() { report | tr ' ' '\n' | sed -n "s/^$1=//p"; }
mode_is() { [ "$(value mode)" = "$1" ]; }
urgent() { [ "$(value urgent)" -gt 0 ]; }
newer_than() { [ "$(value seq)" -gt "$1" ]; }

guest_create g1 pv 192
guest_create g2 pv 128

guest_run g1 60 "$script start" | sed 's/^/g1 /'
wait_node 60 "$(node data/tmem/report)" || die "no report"
report
report | parse_report > /run/parsed || fail "dom0 does not take it: $(cat /run/parsed)"
count_pairs first. < /run/parsed

note "calm"
sleep 10
guest_run g1 120 "$script calm 40" | count_pairs calm.

note "another guest"
guest_run g2 30 "xenstore-read $(node data/tmem/report)"
count other.read_status $?
guest_run g2 30 "xenstore-write $(node data/tmem/report) 1"
count other.write_status $?
guest_run g2 30 "xenstore-read $(node data/tmem/report)" > /run/answer && fail "g2 reads: $(cat /run/answer)"

note "quota"
guest_run g1 240 "$script quota" | count_pairs quota.
report | parse_report || fail "no report after the quota was full"

note "pressure"
check "alarms before" "$(value urgent)" -eq 0
job=$(guest_start g1 "$script press")
wait_for 90 urgent
count pressure.urgent "$(value urgent)"
guest_join g1 "$job" 120 | sed 's/^/g1 /'

note "guest mode"
least=$MAX_KIB most=0
xenstore-write "$(node memory/target)" "$MAX_KIB"
xenstore-write "$(node tmem/min_kib)" "$MIN_KIB" "$(node tmem/max_kib)" "$MAX_KIB" "$(node tmem/mode)" guest
wait_for 30 mode_is 1 || fail "guest mode is not acknowledged"
for _ in 1 2 3 4 5 6; do
  sleep 5
  kib=$(guest_run g1 30 'cat /sys/devices/system/xen_memory/xen_memory0/target_kb')
  [ "$kib" -lt "$least" ] && least=$kib
  [ "$kib" -gt "$most" ] && most=$kib
done
note "least $least, most $most KiB"
count guest_mode.least_kib "$least"
count guest_mode.most_kib "$most"
xenstore-write "$(node tmem/mode)" host
wait_for 30 mode_is 0 || fail "host mode is not acknowledged"
xenstore-write "$(node memory/target)" "$MAX_KIB"
sleep 8
count handed_back.kib "$(guest_run g1 30 'cat /sys/devices/system/xen_memory/xen_memory0/target_kb')"

note "save and restore"
before=$(value seq)
xl save g1 $save || die "xl save failed"
xl restore $save || die "xl restore failed"
wait_node 60 "$(node data/tmem/report)"
wait_for 60 newer_than "$before" && count restored.reports $(($(value seq) - before))
guest_run g1 30 "cat /run/guestd.log" | sed 's/^/g1 says: /'
