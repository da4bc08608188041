# SPDX-License-Identifier: GPL-2.0-or-later
script="sh /bed/scenarios/shrink/guest.sh"

held() { client g1 .pages.persistent; }
# Asked seldom: each question takes the one CPU from the guest for a while.
at_most() { sleep 6; [ "$(held)" -le "$1" ]; }
guest() { guest_run g1 "$@"; }
# figures: some, back, out, cpu and up of the guest become variables.
figures() { eval "$(guest 60 "$script figures")"; }
burst() { guest 240 "$script burst $BURST_MIB" | sed 's/^/burst /'; }

# measure NAME: how the pool's pages of swap become a fifth.
measure() {
  figures
  local some0=$some back0=$back cpu0=$cpu up0=$up held0=$(held)
  count "$1.held_pages" "$held0"
  note "$1: $held0 pages in the pool"
  wait_for "$WITHIN_S" at_most $((held0 / 5)) || fail "$1: still $(held) of $held0 pages after $WITHIN_S s"
  count "$1.left_pages" "$(held)"
  figures
  local seconds=$((up > up0 ? up - up0 : 1))
  count "$1.seconds" "$seconds"
  count "$1.some_milli_percent" $(((some - some0) / 10 / seconds))
  count "$1.back_pages" $((back - back0))
  count "$1.cpu_ms_per_s" $(((cpu - cpu0) / seconds))
  note "$1: $(held) pages after $seconds s; PSI some $((some - some0)) us; agent $((cpu - cpu0)) ms"
}
brings_back() { figures; [ $((back - back0)) -ge 256 ]; }

tmemd_start '[pool]
memory = "256M"'
guest_create g1 pv 160
guest 60 "$script start" | sed 's/^/g1 /'
hog=$(guest_start g1 "$script hog $HOG_MIB")
sleep 8

burst
measure first

note "a burst while pages are brought back"
guest 120 "$script push $HOG_MIB"
figures
back0=$back
wait_for 120 brings_back
count interrupted.back_before $((back - back0))
out0=$out
burst
sleep 3  # until a report tells of what came back before
figures
count interrupted.out_pages $((out - out0))
back0=$back
sleep 8
figures
count interrupted.back_in_quiet $((back - back0))
measure again

guest 30 "$script release"
guest_join g1 "$hog" 240 | count_pairs hog.
guest 120 "$script calm 20" | count_pairs after.
tmem list
