# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "128M"'
# The emulator sometimes hangs when a PVH guest starts: up to three tries, which are counted.
for try in 1 2 3; do
  count tries $try
  (guest_create g1 pvh 128) && break
  guest_destroy g1
done
guest_ready g1 || die "no PVH guest in three tries"
count guest_type "$(guest_run g1 30 cat /sys/hypervisor/guest_type)"
guest_report g1 "$(guest_start g1 sh /bed/scenarios/swap/guest.sh 1 52 500 300 41)" 400
guest_run g1 30 '. /bed/lib.sh; figures pool_ $TMEM/pool0' | count_pairs g1.
client g1 . | count_json g1.dom0
