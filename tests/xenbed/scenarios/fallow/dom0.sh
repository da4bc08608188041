# SPDX-License-Identifier: GPL-2.0-or-later
# Pages stay as they came, so that they can be found in memory.
config="[pool]
provider = \"pool-domain\"
head_room = \"${HEAD_MIB}M\"
[defaults]
compress = false"
script=/bed/scenarios/fallow/guest.sh
# step NAME ARGUMENT...: of the guest's script.
step() {
  name=$1
  shift
  guest_report g1 "$(guest_start g1 sh $script "$@")" 400 "$name."
}
xen() { xenmem free | count_pairs "$1."; }
available_mib() { tmem info --json | jq '(.memory.host.free_bytes - .memory.host.claimed_bytes) / 1048576 | floor'; }
limited() { tmem info --json | jq -e '.memory | .held_bytes + 2097152 > .limit_bytes'; }
pool_domain() { xl list | awk '$1 == "tmem-pool" { print $2 }'; }

# scan NAME: all of Xen's free memory; tmemd stands still, or it would give back more.
scan() {
  kill -STOP "$(tmemd_pid)"
  xenmem scan-free --seed 61 --pages $((SET_MIB * 256)) | count_pairs "$1."
  kill -CONT "$(tmemd_pid)"
}

# It has a CPU of its own, so that it does not wait for dom0's.
guest_create g1 pv 128 "disk=['phy:$(disk fallow-files),xvda,w']" 'cpus="1"'
# What the first connection makes Xen and dom0 keep for good is there when the pages are counted.
tmemd_start "$config"
guest_run g1 60 sh $script start || die "the guest cannot start"
tmemd_stop
no_pool() { [ -z "$(pool_domain)" ]; }
wait_for 20 no_pool || die "the pool domain outlives an orderly stop"
xen start

tmemd_start
connected() { guest_run g1 60 '[ $(cat /sys/kernel/tmem/state) = connected ]'; }
wait_for 120 connected || die "the guest does not come back"
step fill read "$SET_MIB"
wait_for 30 limited || fail "the pool is not full"
tmem info --json | count_json full
tmem info
tmem list
xenmem scan-domain "$(pool_domain)" --seed 61 --pages $((SET_MIB * 256)) | count_pairs pool.

job=$(guest_start g1 sh $script read_on $SET_MIB)

guest_config() { # NAME MIB
  printf 'name="%s"\ntype="pv"\nmemory=%s\nvcpus=1\nkernel="/bed/vmlinux"\nramdisk="/bed/guest.img"\n' "$1" "$2"
  printf 'extra="console=hvc0 quiet panic=-1 rootfstype=ramfs guest=%s"\non_crash="preserve"\n' "$1"
}
guest_config big "$BIG_MIB" > /run/big.cfg
guest_config small "$SMALL_MIB" > /run/small.cfg

started=0
xl create -qp /run/big.cfg && started=1 && xl destroy big
count big.started_without_room $started
begin=$(uptime_ms)
tmem make-room $((BIG_MIB + 16))M --wait || fail "there is no room"
count big.make_room_ms $(($(uptime_ms) - begin))
started=0
xl create -q /run/big.cfg && guest_wait big && started=1
count big.started_after_make_room $started
xl destroy big
scan free_after_big
tmem make-room --cancel

# Within the head-room nobody is asked.
wait_for 120 limited || fail "the pool does not grow again"
started=0
xl create -qp /run/small.cfg && started=1
count small.started $started
xenmem scan-domain "$(domid small)" --seed 61 --pages $((SET_MIB * 256)) | count_pairs small_guest.
xl destroy small

# Each is built of memory that was given back a moment ago, and looked through before it goes.
done=0 failed=0 all_scanned=0 all_marked=0
for cycle in $(seq "$CYCLES"); do
  if xl create -qp /run/small.cfg; then
    eval "$(xenmem scan-domain "$(domid small)" --seed 61 --pages $((SET_MIB * 256)))"
    all_scanned=$((all_scanned + scanned)) all_marked=$((all_marked + marked))
    xl destroy small && done=$((done + 1))
  else
    failed=$((failed + 1))
    tmem info
  fi
  # Until the head-room is there again.
  restored() { [ "$(available_mib)" -ge "$HEAD_MIB" ]; }
  wait_for 20 restored || fail "after cycle $cycle the head-room does not come back"
done
count cycles.done $done
count cycles.failed $failed
count cycles.scanned $all_scanned
count cycles.marked $all_marked
scan free_after_cycles
# What the pool takes and gives is in its own figures; dom0's balloon, under the same load.
tmem info --json | count_json loaded
xenmem balloon 64 | count_pairs balloon.
guest_run g1 60 rm /run/read_on
guest_report g1 "$job" 300 load.

# A batch of a guest while 64 MiB are given back; and, to compare, while nothing is. Nothing else is
# started in dom0 meanwhile.
step filled fill_swap
# stall NAME MIB: reads the guest's pages, and has so much given back meanwhile.
stall() {
  limited || step refill read "$SET_MIB"
  wait_for 30 limited || fail "the pool is not full again"
  held=$(tmem info --json | jq .memory.held_bytes)
  bytes=$((($(available_mib) + $2) * 1048576))
  job=$(guest_start g1 sh $script read_swap)
  ask /run/tmemd/control.sock "{\"verb\":\"make-room\",\"args\":{\"bytes\":$bytes}}" 1500
  guest_report g1 "$job" 100 "$1."
  count "$1.given_bytes" $((held - $(tmem info --json | jq .memory.held_bytes)))
  tmem make-room --cancel
}
for round in 1 2 3; do
  stall calm$round 0
  stall giving$round 64
done

step after read "$SET_MIB"
guest_report g1 "$(guest_start g1 sh $script end)" 60 ''
begin=$(uptime_ms)
tmemd_stop
count stop_ms $(($(uptime_ms) - begin))
count pool_domains_at_the_end "$(xl list | grep -c tmem-pool)"
xen end
xenmem scan-free --seed 61 --pages $((SET_MIB * 256)) | count_pairs free_at_the_end.
