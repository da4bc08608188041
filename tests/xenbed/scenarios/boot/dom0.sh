# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "64M"'
tmem info --json | count_json tmemd
count xen_free_mib "$(xl info | awk '$1 == "free_memory" { print $3 }')"

start=$(uptime_ms)
guest_create g1 pv 128
count guest_boot_ms $(($(uptime_ms) - start))

guest_run g1 30 'sh /bed/scenarios/boot/guest.sh' > /run/answer || fail "guest.sh ended with $?"
head -n 2 /run/answer | count_pairs guest_
check "bytes of output" "$(wc -c < /run/answer)" -gt 8900
[ "$(tail -n 1 /run/answer)" = "the end" ] || fail "the output did not come back whole"

guest_run g1 30 'exit 7' || status=$?
check "a failed command's exit status" "${status:-0}" -eq 7

tmemd_stop
guest_destroy g1
