# SPDX-License-Identifier: GPL-2.0-or-later
# A program that needs more than its share runs in g1 and in g2 by turns, first with the memory
# scheduled, then with the same memory divided once and for all. Then a third guest wants room.
. /bed/scenarios/policy/dom0-memory.sh

program() { in_guest "$1" program "$PROGRAM_MIB" "$WORK_S" "7${1#g}"; }
states() { for _name in g1 g2; do guest_report $_name "$(in_guest $_name state)" 60 "$1.$_name."; done; }
mib() { echo $(($(memory_kib "$1") / 1024)); }

tmemd_for_policy "$HEAD_MIB" host
for number in 1 2; do guest_for_policy $number "$START_MIB" "$MAX_MIB"; done
recorder_start
for name in g1 g2; do
  guest_report $name "$(in_guest $name module)" 60 "module.$name."
  guest_report $name "$(in_guest $name agent)" 60 "agent.$name."
done
sleep 5
states begin
tmem policy show

# phase NUMBER BUSY IDLE: what BUSY gets is measured from the moment that its program is started.
phase() {
  had=$(memory_kib $2) gave=$((most_kib - $(memory_kib $2)))
  surplus=$(($(sed -n 's/^available_kib=//p' "/run/$3.out") - SPARE_KIB))
  begin=$(uptime_ms)
  guest_report $2 "$(program $2)" 300 "phase$1."
  if [ "$1" -ge 1 ] && [ "$1" -le "$PHASES" ]; then
    count "phase$1.surplus_kib" $surplus
    count "phase$1.reached_ms" "$(memory_ms $2 $begin least $((had + surplus * 8 / 10)))"
  fi
  # What this guest gave in the phase before, in which it was idle.
  if [ "$1" -ge 2 ]; then
    count "phase$(($1 - 1)).gave_kib" $gave
    count "phase$(($1 - 1)).returned_ms" "$(memory_ms $2 $begin least $((had + gave * 8 / 10)))"
  fi
  # Of the guest that is idle next: what it had as the busy one.
  memory_range $2 $begin "$(uptime_ms)"
  _busy_kib=$most_kib
  memory_range $3 "$last_begin" $begin
  note "phase $1: $2 had $had KiB, got $_busy_kib; surplus of $3 $surplus; $2 gave $gave before"
  last_begin=$begin
}

# Before phase 1 nobody has a surplus; the last one only shows that memory returns.
last_begin=$(uptime_ms)
memory_range g1 $((last_begin - 1000)) $last_begin
idle=g2 busy=g1
for number in $(seq 0 $((PHASES + 1))); do
  phase "$number" $busy $idle
  swap=$idle idle=$busy busy=$swap
done
states end
tmem list --json | count_json clients
count refused "$(grep -c 'cannot be told' /var/log/tmemd.log)"

note "a static split of the same memory"
tmem policy set mode=off > /dev/null
xl mem-set g1 $SPLIT_MIB
xl mem-set g2 $SPLIT_MIB
split_done() { [ "$(mib g1)" = $SPLIT_MIB ] && [ "$(mib g2)" = $SPLIT_MIB ]; }
wait_for 30 split_done || fail "g1 has $(mib g1) MiB, g2 $(mib g2)"
guest_report g1 "$(program g1)" 300 static.
states static_end

note "a third guest"
guest_report g1 "$(in_guest g1 files "$FILES_MIB" 71)" 100 "files."
held_mib() { tmem info --json | jq '.memory.held_bytes / 1048576 | floor'; }
before_mib=$(($(mib g1) + $(mib g2))) pool_mib=$(held_mib)
count third.pool_mib "$pool_mib"
count third.guests_mib $before_mib
{
  printf 'name="g3"\ntype="pv"\nmemory=%s\nvcpus=1\nkernel="/bed/vmlinux"\nramdisk="/bed/guest.img"\n' "$THIRD_MIB"
  printf 'extra="console=hvc0 quiet panic=-1 rootfstype=ramfs guest=g3"\non_crash="preserve"\n'
} > /run/g3.cfg
started=0
xl create -qp /run/g3.cfg && started=1 && xl destroy g3
count third.started_without_room $started
tmem policy set mode=host > /dev/null
begin=$(uptime_ms)
tmem make-room $((THIRD_MIB + 8))M --wait || fail "there is no room"
count third.make_room_ms $(($(uptime_ms) - begin))
count third.guests_gave_mib $((before_mib - $(mib g1) - $(mib g2)))
count third.pool_gave_mib $((pool_mib - $(held_mib)))
started=0
xl create -q /run/g3.cfg && guest_wait g3 && started=1
count third.started $started
tmem make-room --cancel
tmem policy show
sleep 5
states third_end
recorder_stop
