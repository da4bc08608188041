# SPDX-License-Identifier: GPL-2.0-or-later
config='[pool]
provider = "pool-domain"
head_room = "64M"'
script=/bed/scenarios/poollife/guest.sh
step() { guest_report g1 "$(guest_start g1 sh $script slots "$2" "$PAGES" "$3")" 200 "$1."; }
connected() { guest_run g1 60 '[ $(cat /sys/kernel/tmem/state) = connected ]'; }
pool_domain() { xl list | awk '$1 == "tmem-pool" { print $2 }'; }
pool_domains() { xl list | grep -c tmem-pool; }
# timed NAME COMMAND...: its status and how long it took.
timed() {
  local name=$1 begin status=0
  shift
  begin=$(uptime_ms)
  timeout 120 "$@" || status=$?
  count "$name.status" $status
  count "$name.ms" $(($(uptime_ms) - begin))
}

tmemd_start "$config"
guest_create g1 pv 128
guest_run g1 60 sh $script start || die "the guest cannot start"
count first.pool_domain "$(pool_domain)"
step stored write 1
xl list
timed list_long xl list -l > /run/list_long

# Killed: the domain stays, with what it holds.
tmemd_stop KILL
sleep 1
count killed.pool_domains "$(pool_domains)"
count killed.pool_mib "$(xl list | awk '$1 == "tmem-pool" { print $3 }')"
tmemd_start
count restarted.pool_domain "$(pool_domain)"
count restarted.found "$(grep -c 'a predecessor left' /var/log/tmemd.log)"
wait_for 120 connected || die "the guest does not come back"
step lost_by_kill read 1
step again write 2
step again read 2

# Destroyed by hand.
pid=$(tmemd_pid) before=$(pool_domain)
# Not at once: a tmemd that loses its memory within ten seconds ends (docs/xen.md).
sleep 12
xl destroy tmem-pool
replaced() { _now=$(pool_domain) && [ -n "$_now" ] && [ "$_now" != "$before" ]; }
wait_for 60 replaced || fail "no other pool domain comes"
count destroyed.another_domain $((before != $(pool_domain)))
count destroyed.same_tmemd $((pid == $(tmemd_pid)))
count destroyed.said "$(grep -c 'somebody destroyed the pool domain' /var/log/tmemd.log)"
wait_for 120 connected || die "the guest does not come back"
step lost_by_destroy read 2
step at_last write 3
step at_last read 3
count destroyed.zombies "$(xl list | grep -c '(null)')"

# The toolstack's own commands.
timed shutdown_one xl shutdown -w tmem-pool > /run/shutdown_one 2>&1
cat /run/shutdown_one
tmem info || fail "tmemd does not survive xl shutdown of its pool domain"
guest_run g1 60 'rmmod tmem_swap'
timed shutdown_all xl shutdown -a -w > /run/shutdown_all 2>&1
cat /run/shutdown_all
count shutdown_all.guests "$(xl list | grep -c '^g1 ')"
xl destroy g1

tmemd_stop
count pool_domains_at_the_end "$(pool_domains)"

# To the page: what the first connection made Xen keep is there by now.
xenmem free | count_pairs start.
tmemd_start
guest_create g2 pv 128
guest_run g2 60 sh $script start || die "the guest cannot start"
guest_report g2 "$(guest_start g2 sh $script slots write "$PAGES" 1)" 200 filled.
guest_destroy g2
gone() { [ -z "$(client g2 .number)" ]; }
wait_for 20 gone
tmemd_stop
xenmem free | count_pairs end.

# Libraries of another Xen: said, and with "auto" the pool is tmemd's own memory.
status=0
LD_PRELOAD=/usr/bin/wrong_xen.so timeout 20 tmemd > /run/mismatch 2>&1 || status=$?
cat /run/mismatch
count mismatch.status $status
count mismatch.said "$(grep -c 'is for Xen' /run/mismatch)"
printf '[pool]\nmemory = "64M"\n' > /etc/tmemd/tmemd.toml
LD_PRELOAD=/usr/bin/wrong_xen.so setsid tmemd > /run/fallback 2>&1 < /dev/null 3>&- &
wait_for 20 tmemd_answers
count mismatch.fallback "$(tmem info --json | jq '.memory.provider == "memfd"' | grep -c true)"
cat /run/fallback
tmemd_stop
