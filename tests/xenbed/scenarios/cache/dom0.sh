# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start "[pool]
memory = \"$POOL\""
disk=$(disk "cache-files-$SET_MIB")
script=/bed/scenarios/cache/guest.sh
guest_create g1 pv "$GUEST_MIB" "disk=['phy:$disk,xvda,w']"
load() { guest_report g1 "$(guest_start g1 sh $script read "$SET_MIB" "$@")" "$PASS_S" "$1."; }

guest_run g1 60 sh $script mount || die "the disk cannot be mounted"
load cold
load without
guest_run g1 60 sh $script enable || die "the cache cannot be enabled"
load pass1
load pass2
load pass3
tmem list
load random --order random
load mixed --rewrite 10
client g1 .pages | count_json g1.at_work
guest_report g1 "$(guest_start g1 sh $script end)" 120
client g1 . | count_json g1.dom0
tmem info --json | count_json tmemd
cpu_seconds
guest_destroy g1
e2fsck -fn "$disk" > /run/fsck
count fsck $?
