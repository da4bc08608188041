# SPDX-License-Identifier: GPL-2.0-or-later
# g1 moves pages all the time. The other guest's CPU is never idle; it is quiet or attacks, in turns. Each of
# them and dom0 has a CPU of its own.
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

# sample: the time, what g1 moved, CPU of tmemd's two threads and of xenstored; times in ms. It is
# measured itself: few commands.
ticks() { read -r _ _ _ _ _ _ _ _ _ _ _ _ _ _user _system _ < "$1"; }
sample() {
  moved=$(client g1 '.counters.puts_ok + .counters.hits')
  read -r now _ < /proc/uptime
  printf '%s %s' "${now%.*}${now#*.}0" "$moved"
  for stat in "$worker" "$follower" "/proc/$xenstored/stat"; do
    ticks "$stat"
    printf ' %s0' $((_user + _system))
  done
}

# phase NAME ORDER: measures.
phase() {
  xenstore-write "$node/attack" "$2"
  sleep 1
  from=$(sample)
  sleep "$PHASE_S"
  set -- "$1" $from $(sample)
  echo "ms=$(($7 - $2)) pages=$(($8 - $3)) worker_ms=$(($9 - $4)) follower_ms=$((${10} - $5))" \
    "xenstored_ms=$((${11} - $6))" | count_pairs "$1."
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

# accounted ATTACK: it has ended, its counts are there.
accounted() { xenstore-read "$node/counts" | grep -q "^attack=$1 "; }

guest_create g1 pv 128 'cpus="1"'
guest_create evil pv 128 'cpus="2"'
node=/local/domain/$(domid evil)/data
guest_run evil 60 'modprobe tmem_hostile' || die "evil has no module"
# Patient, as the emulated host may stand still for a second.
guest_run g1 60 '. /bed/lib.sh; connect; echo 20000 > /sys/module/tmem_core/parameters/put_ms;' \
  'modprobe tmem_swap size_mb=64' || die "g1 has no tmemswap0"
# So few that none grows old enough to be compressed, however slow it is: tmemd's work for a page is the same
# in all phases.
job=$(guest_start g1 'speed churn /dev/tmemswap0 --pages 512 --depth 16 --seed 71')
moves() { [ "$(client g1 .counters.hits)" -gt 2048 ]; }
wait_for 240 moves || die "g1 moves no pages"
xenstore-write "$node/attack" quiet
wait_for 30 evil_connected || die "evil is not connected"
# What measures is served first, and does not lengthen the phases by waiting.
renice -n -10 -p $$ > /dev/null
inventory before

# control NAME: a phase without attack, of the kind that $control says.
control() {
  [ "$control" != busy ] || { keep_busy & busy=$!; }
  case $control in writes) phase "$1" writes ;; *) phase "$1" quiet ;; esac
  [ "$control" != busy ] || kill "$busy"
}
# Takes what time of its CPU dom0 leaves.
keep_busy() { exec sh -c 'renice -n 19 -p $$ > /dev/null; while :; do :; done'; }

for attack in $ATTACKS; do
  case " $WRITES " in *" $attack "*) control=writes ;; *) control=quiet ;; esac
  case " $BUSY " in *" $attack "*) control=busy ;; esac
  for round in $(seq "$ROUNDS"); do
    control "$attack.$round.control"
    phase "$attack.$round.attack" "$attack"
    # The next attempt is an honest one.
    xenstore-write "$node/attack" quiet
    wait_for 40 accounted "$attack" || fail "$attack does not end"
    wait_for 40 evil_connected || fail "after $attack an honest connection is refused"
    xenstore-read "$node/counts" | count_pairs "$attack.$round.evil_"
  done
  control "$attack.last.control"
  inventory "$attack.after"
done
# What a CPU of dom0's that is never idle costs in this emulator, with nobody attacking.
for round in $(seq "$ROUNDS"); do
  control=quiet; control "busy.$round.control"
  control=busy; control "busy.$round.attack"
done
control=quiet; control busy.last.control

xenstore-write "$node/attack" none
guest_run g1 60 'kill $(pidof speed)'
guest_report g1 "$job" 300
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
