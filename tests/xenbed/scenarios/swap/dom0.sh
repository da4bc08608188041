# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "256M"'

for guest in g1 g2; do guest_create $guest pv 128; done
start=$(uptime_ms)
seed=11
for guest in g1 g2; do
  guest_start $guest "sh /bed/scenarios/swap/guest.sh $seed" > /run/$guest.job
  seed=$((seed + 1))
done
for guest in g1 g2; do
  guest_report $guest "$(cat /run/$guest.job)" 400
done
count load_ms $(($(uptime_ms) - start))

# The module gives freed slots back in batches; then the guest's figures and ours must agree.
no_persistent_pages() { [ "$(client $guest .pages.persistent)" = 0 ]; }
for guest in g1 g2; do
  wait_for 20 no_persistent_pages
  guest_run $guest 30 '. /bed/lib.sh; figures pool_ $TMEM/pool0; kernel_complaints' |
    count_pairs $guest.
  client $guest . | count_json $guest.dom0
  count $guest.pages_after_swapoff "$(client $guest .pages.persistent)"
done
tmem info --json | count_json tmemd
