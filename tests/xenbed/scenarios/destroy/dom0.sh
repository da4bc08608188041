# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "192M"'
fds() { ls "/proc/$(tmemd_pid)/fd" | wc -l; }
grants() { grep -c xen/gntdev "/proc/$(tmemd_pid)/maps"; }
guest_create g2 pv 128
guest_run g2 60 '. /bed/lib.sh; connect; swap_on 128' || die "g2 has no swap"
job=$(guest_start g2 'hog --mib 52 --operations 4000 --seed 31')
count fds_before "$(fds)"
count grants_before "$(grants)"

for round in 1 2; do
  guest_create g1 pv 128
  guest_start g1 '. /bed/lib.sh; connect; swap_on 128; while :; do hog --mib 60 --seed 32; done'
  busy() { [ "$(client g1 .counters.puts_ok)" -gt 2000 ]; }
  wait_for 240 busy || die "g1 does not swap"
  count traffic "$(client g1 .counters.puts_ok)"
  guest_destroy g1 || fail "xl destroy g1"
  gone() { [ -z "$(client g1 .number)" ]; }
  wait_for 20 gone || fail "tmemd keeps the dead guest"
  one_domain() { [ "$(domains | wc -l)" -eq 1 ]; }
  wait_for 20 one_domain || fail "the dead guest is a zombie"
  count "clients_after_$round" "$(tmem list --json | jq length)"
  count "domains_after_$round" "$(domains | wc -l)"
  count "fds_after_$round" "$(fds)"
  count "grants_after_$round" "$(grants)"
done
guest_report g2 "$job" 400
tmem stats --json | count_json tmemd
