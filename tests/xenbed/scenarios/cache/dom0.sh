# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "192M"'
guest_create g1 pv 128 "disk=['phy:$(disk cache-files),xvda,w']"
load() { guest_report g1 "$(guest_start g1 sh /bed/scenarios/cache/guest.sh "$@")" 200 "$1."; }

guest_run g1 60 'sh /bed/scenarios/cache/guest.sh mount' || die "the disk cannot be mounted"
load cold
load without
guest_run g1 60 'sh /bed/scenarios/cache/guest.sh enable' || die "the cache cannot be enabled"
load pass1
load pass2
load pass3
tmem list
load random --order random
load mixed --rewrite 10
guest_report g1 "$(guest_start g1 sh /bed/scenarios/cache/guest.sh end)" 60
client g1 . | count_json g1.dom0
tmem info --json | count_json tmemd
guest_destroy g1
e2fsck -fn "$(disk cache-files)" > /run/fsck
count fsck $?
