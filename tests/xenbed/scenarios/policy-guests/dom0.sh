# SPDX-License-Identifier: GPL-2.0-or-later
# Guests that tell little, nothing or lies, and guests that set their own balloon. g1 and g2 are alike,
# g3 has neither agent nor module.
. /bed/scenarios/policy/dom0-memory.sh

states() { for _name in g1 g2; do guest_report $_name "$(in_guest $_name state)" 60 "$1.$_name."; done; }
# told PREFIX NAME: what `tmem why` says of a guest, and what it has.
told() {
  tmem --json why "$2" | jq -r '.guests[0] | "state=\(.report.state) malformed=\(.report.malformed)",
    "absurd=\(.report.absurd) reason=\(.reason) bound=\(.bound) writer=\(.writer)",
    "target_kib=\(.target_bytes / 1024 | floor) pool_kib=\(.pool.charged_bytes / 1024 | floor)",
    "complaint: \(.report.complaint)"' | count_pairs "$1."
  count "$1.kib" "$(memory_kib "$2")"
}
writer_is() { [ "$(why "$1" .writer)" = "$2" ]; }
acknowledged() { [ "$(why "$1" .acknowledged)" = true ]; }
report_is() { [ "$(why "$1" .report.state)" = "$2" ]; }

tmemd_for_policy "$HEAD_MIB" host
for number in 1 2; do guest_for_policy $number "$START_MIB" "$MAX_MIB"; done
guest_create g3 pv "$THIRD_MIB"
recorder_start

note "half present: g1 has the module, g2 the agent, g3 neither"
guest_report g1 "$(in_guest g1 module)" 60 module.
guest_report g2 "$(in_guest g2 agent)" 60 agent.
sleep 12
told module g1
told agent g2
told neither g3
# The module's counts speak for it: pages that come back from the pool.
guest_report g1 "$(in_guest g1 program "$PROGRAM_MIB" 12 81)" 200 module.
told module_pressed g1

guest_report g1 "$(in_guest g1 agent)" 60 agent_start.
guest_report g2 "$(in_guest g2 module)" 60 module.
wait_for 30 report_is g1 fresh || fail "g1 is not heard"

note "guests that set their own balloon"
for name in g1 g2; do tmem policy set $name mode=guest min="${LEAST_MIB}M" > /dev/null; done
for name in g1 g2; do
  wait_for 20 writer_is $name guest || fail "$name is not given its balloon"
  wait_for 20 acknowledged $name || fail "$name does not take its balloon"
done
# Its bounds are not the guest's to write.
for node in mode min_kib max_kib; do
  status=0
  guest_run g1 20 "xenstore-write tmem/$node 99999999" || status=$?
  count forbidden.$node.status $status
  [ "$(xenstore-read "/local/domain/$(domid g1)/tmem/$node")" != 99999999 ] || fail "a guest wrote $node"
done
sleep 10
told own_idle g1
own_begin=$(uptime_ms)
had1=$(memory_kib g1) had2=$(memory_kib g2)
# What a program asks for, whether it uses it or not; and what one uses without having asked.
job1=$(in_guest g1 commit "$COMMIT_MIB" 25)
job2=$(in_guest g2 program "$PROGRAM_MIB" 20 82)
sleep 10
told own_commit g1
told own_pressed g2
count own_commit.had_kib "$had1"
count own_pressed.had_kib "$had2"
for n in 1 2; do count own.g$n.max_kib "$(xenstore-read "/local/domain/$(domid g$n)/tmem/max_kib")"; done
memory_range g1 "$own_begin" $((own_begin + 10000))
count own_commit.most_kib "$most_kib"
# By the agent's own numbers: what it should have by now.
report=$(xenstore-read "/local/domain/$(domid g1)/data/tmem/report")
echo "$report"
for key in commit reserve total; do
  count own_commit.${key}_kib "$(echo "$report" | tr ' ' '\n' | sed -n "s/^${key}_kib=//p")"
done
guest_join g1 "$job1" 100
freed=$(uptime_ms) full=$(memory_kib g1)
guest_report g2 "$job2" 200 own_pressed.
shrinks_ms() { memory_ms g1 "$freed" most $((full - 4096)); }
shrunk() { [ "$(shrinks_ms)" != never ]; }
wait_for 20 shrunk || note "g1 does not shrink"
count own_freed.shrinks_ms "$(shrinks_ms)"
memory_range g1 "$own_begin" "$(uptime_ms)"
count own_commit.least_kib "$least_kib"
for name in g1 g2; do tmem policy set $name --reset > /dev/null; done
for name in g1 g2; do wait_for 40 writer_is $name host || fail "$name keeps its balloon"; done
states own_end

note "a liar and its honest twin, which needs more than its half"
guest_run g1 30 sh $guest_script silence
lie=$(in_guest g1 lie needy "$LIE_S")
twin=$(in_guest g2 press "$TWIN_MIB" "$LIE_S" 83)
sleep $((LIE_S - 20))
from=$(uptime_ms)
sleep 15
memory_range g1 "$from" "$(uptime_ms)"
count liar.least_kib "$least_kib"
count liar.most_kib "$most_kib"
memory_range g2 "$from" "$(uptime_ms)"
count twin.least_kib "$least_kib"
told liar g1
told twin g2
told neither_pressed g3
# All that is not domain 0's, nor Xen's: free, the pool's and the guests'.
count all_kib "$(tail -n 1 /run/memory | tr ' ' '\n' | grep = | grep -v '^0=' | awk -F= '{ sum += $2 } END { print sum }')"
guest_join g1 "$lie" 60
guest_report g2 "$twin" 200 twin.

note "lies that contradict themselves, then silence"
guest_join g1 "$(in_guest g1 lie absurd 4)" 30
told absurd g1
guest_join g1 "$(in_guest g1 lie malformed 4)" 30
told malformed g1
guest_report g1 "$(in_guest g1 agent)" 60 agent.
wait_for 30 report_is g1 fresh || fail "an honest agent is not believed after a liar"
guest_run g2 30 sh $guest_script silence
wait_for 60 report_is g2 stale || fail "silence is not noticed"
told silent g2
sleep 10
told still_silent g2
states end
guest_run g3 30 true || fail "g3 does not answer"
recorder_stop
