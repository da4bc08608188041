# SPDX-License-Identifier: GPL-2.0-or-later
# g1 moves pages and has the other guest attack, and leave it, in turns of half a second. The other
# guest's CPU and dom0's are never idle. Each of the three has a CPU of its own.
tmemd_start '[pool]
memory = "192M"
[store]
zstd = false
[[client]]
name = "g1"
guarantee = "96M"
[[client]]
name = "evil"
cap = "24M"'
pid=$(tmemd_pid) xenstored=$(pidof xenstored)
# thread NAME: the folder of one of tmemd's threads. That which compresses is left out: what it does is due
# to earlier phases.
thread() { grep -lx "$1" "/proc/$pid/task"/*/comm | head -n 1 | sed 's/comm$/stat/'; }
worker=$(thread tmem-worker-0) follower=$(thread tmem-xen)

# worked: the time, and the CPU that tmemd's two threads and xenstored have had, in ms.
ticks() { read -r _ _ _ _ _ _ _ _ _ _ _ _ _ _user _system _ < "$1"; }
worked() {
  printf '%s ' "$(uptime_ms)"
  for stat in "$worker" "$follower" "/proc/$xenstored/stat"; do
    ticks "$stat"
    printf '%s0 ' $((_user + _system))
  done
}

# inventory NAME: what tmemd holds, and what it has said.
inventory() {
  count "$1.rss_anon_kib" "$(awk '$1 == "RssAnon:" { print $2 }' "/proc/$pid/status")"
  count "$1.fds" "$(ls "/proc/$pid/fd" | wc -l)"
  count "$1.mappings" "$(grep -c xen/gntdev "/proc/$pid/maps")"
  count "$1.log_lines" "$(wc -l < /var/log/tmemd.log)"
  tmem stats --json | jq '.transport.xen | del(.guests, .ring)' | count_json "$1.xen"
}

evil_connected() { [ "$(client evil .transport.state)" = '"connected"' ]; }

# account ATTACK PREFIX: waits until the attack has ended, and counts what came of it.
accounted() { xenstore-read "$node/counts" | grep -q "^attack=$1 "; }
account() {
  wait_for 40 accounted "$1" || fail "$1 does not end"
  xenstore-read "$node/counts" | count_pairs "$2"
}

guest_create g1 pv 128 'cpus="1"'
guest_create evil pv 128 'cpus="2"'
node=/local/domain/$(domid evil)/data
guest_run evil 60 'modprobe tmem_hostile' || die "evil has no module"
# Patient, as the emulated host may stand still for a second.
guest_run g1 60 '. /bed/lib.sh; connect; echo 20000 > /sys/module/tmem_core/parameters/put_ms;' \
  'modprobe tmem_swap size_mb=64' || die "g1 has no tmemswap0"
# It says whose turn it is; until then it is nobody's.
xenstore-write "$node/turn" 0
xenstore-chmod "$node/turn" "n$(domid evil)" "b$(domid g1)"
xenstore-write "$node/attack" quiet
wait_for 30 evil_connected || die "evil is not connected"
inventory before

# Pages so few that none grows old enough to be compressed, however slow it is: tmemd's work for a page
# is the same in all turns. g1 pauses, so that alone it takes less than half of the worker's time: who asks for
# more than its share gets its share, whoever the others are.
for attack in quiet $ATTACKS; do
  xenstore-write "$node/attack" "$attack"
  [ "$attack" = quiet ] || account quiet "$attack.honest_"
  from=$(worked)
  job=$(guest_start g1 "speed churn /dev/tmemswap0 --pages 128 --depth 16 --seed 71 --pause-us $PAUSE_US" \
    "--turns $TURNS --turn-ms $TURN_MS --turn-node $node/turn") || exit
  guest_report g1 "$job" $((60 + TURNS * (TURN_MS + 500) * 4 / 1000)) "$attack."
  set -- $from $(worked)
  echo "ms=$(($5 - $1)) worker_ms=$(($6 - $2)) follower_ms=$(($7 - $3)) xenstored_ms=$(($8 - $4))" |
    count_pairs "$attack."
  [ ! -s /run/failed ] || exit 1
  [ "$attack" != quiet ] || continue
  # The next attempt is an honest one.
  xenstore-write "$node/attack" quiet
  account "$attack" "$attack.evil_"
  wait_for 40 evil_connected || fail "after $attack an honest connection is refused"
  inventory "$attack.after"
done

xenstore-write "$node/attack" none
guest_run g1 60 '. /bed/lib.sh; figures swap_ $TMEM/swap; kernel_complaints' | count_pairs g1.
# It ends grants that are in use.
guest_run evil 60 '. /bed/lib.sh; kernel_complaints "g.e. .* still in use"' | count_pairs evil.
guest_destroy evil
gone() { [ -z "$(client evil .number)" ]; }
wait_for 20 gone || fail "tmemd keeps the dead guest"
one_domain() { [ "$(domains | wc -l)" -eq 1 ]; }
wait_for 20 one_domain || fail "the hostile guest is a zombie"
inventory end
[ "$(tmemd_pid)" = "$pid" ] || fail "tmemd is another process than before"
grep -o 'domain [0-9]* .*' /var/log/tmemd.log | sort | uniq -c | sort -rn | head -n 30
