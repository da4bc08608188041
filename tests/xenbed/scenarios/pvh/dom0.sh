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
