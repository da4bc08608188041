# SPDX-License-Identifier: GPL-2.0-or-later
# The same load on the same memory three times: `off`, the pool's memory lies idle in domain 0;
# `ram`, the guests have it; `on`, tmemd has it. A program larger than a guest's memory runs in g1,
# then in g2; meanwhile the other guest reads its files.
#
# Sizes are in scenario.py.
script=/bed/scenarios/demo/guest.sh

stage() { frame "stage $*"; }

# memory_mib NAME: of a domain, as Xen counts it.
memory_mib() { xl list "$1" | awk 'NR == 2 { print $3 }'; }
has_memory() { [ "$(memory_mib "$1")" = "$2" ]; }
# set_memory NAME MIB: by its balloon; waits until it is so.
set_memory() {
  xl mem-set "$1" "$2" || die "xl mem-set failed"
  wait_for 60 has_memory "$1" "$2" || die "domain $1 has $(memory_mib "$1") MiB instead of $2"
}

# report RUN GUEST LOAD JOB
report() { guest_report "$2" "$4" 300 "$1.$2.$3."; }
# begin GUEST LOAD
begin() {
  guest_start "$1" "PROGRAM_MIB=$PROGRAM_MIB FILES_MIB=$FILES_MIB sh $script $2"
}

# both RUN LOAD [ARGUMENT]: in both guests at once.
both() {
  one=$(begin g1 "$2 ${3-}")
  two=$(begin g2 "$2 ${3-}")
  report "$1" g1 "$2" "$one"
  report "$1" g2 "$2" "$two"
}

# turn RUN GUEST OTHER: the guest's program runs, the other reads its files again.
turn() {
  stage "$1: $2 runs a large program, $3 reads its files again"
  program=$(begin "$2" "program 2${2#g}")
  report "$1" "$3" read "$(begin "$3" read)"
  [ "$1" != on ] || tmem list > /run/list
  report "$1" "$2" program "$program"
}

# load RUN plain|tmem stop|stay
load() {
  stage "$1: both guests read their files"
  both "$1" start "$2"
  turn "$1" g1 g2
  turn "$1" g2 g1
  for name in g1 g2 0; do count "$1.$name.mib" "$(memory_mib $name)"; done
  [ "$1" != on ] || tmem info --json | count_json pool
  both "$1" end "$3"
}

dom0_mib=$(memory_mib 0)
stage "ram: two guests boot with the pool's memory"
set_memory 0 $((dom0_mib - POOL_MIB))
for number in 1 2; do
  guest_create g$number pv $((GUEST_MIB + POOL_MIB / 2)) \
    "disk=['phy:$(disk demo-files$number),xvda,w','phy:$(disk demo-swap$number),xvdb,w']"
done
load ram plain stop

stage "off: the guests' balloons give it back to domain 0"
for guest in g1 g2; do set_memory $guest $GUEST_MIB; done
set_memory 0 "$dom0_mib"
load off plain stop

stage "on: tmemd starts in domain 0"
# zstd, after a minute, would cost more on the emulated CPU than it saves here.
tmemd_start "[pool]
provider = \"memfd\"
memory = \"${POOL_MIB}M\"
[store]
zstd = false
[defaults]
dedup = \"host\""
load on tmem stay
sed 's/^/tmem list: /' /run/list
