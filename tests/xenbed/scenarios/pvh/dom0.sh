# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "192M"'
# The emulator sometimes hangs when a PVH guest starts: up to three tries, which are counted.
for try in 1 2 3; do
  count tries $try
  (guest_create g1 pvh 160 "disk=['phy:$(disk both-files),xvda,w']") && break
  guest_destroy g1
done
guest_ready g1 || die "no PVH guest in three tries"
count guest_type "$(guest_run g1 30 cat /sys/hypervisor/guest_type)"
. /bed/scenarios/both/dom0-load.sh

# To another host, which is this one, while it reads through the cache; there it swaps again.
before=$(domid g1)
migrate=/bed/scenarios/pvh/guest.sh
guest_start g1 sh $migrate files
guest_run g1 30 'until [ -s /run/files ]; do sleep 0.5; done' || die "no files are read"
tmem-xl migrate -s '' g1 'xl migrate-receive' || fail "tmem-xl migrate: $?"
[ "$(domid g1)" != "$before" ] || fail "the guest is where it was"
guest_report g1 "$(guest_start g1 sh $migrate swap)" 400 migrated.
count migrated.clients "$(tmem list --json | jq length)"
client g1 . | count_json migrated.dom0
