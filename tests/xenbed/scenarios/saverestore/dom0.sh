# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "128M"'
save=/bed/guest.save

# hog_up NAME [PARAMETER of tmem_swap]: a guest whose hog has filled its memory and waits.
hog_up() {
  guest_create "$1" pv 128 "disk=['phy:$(disk save-swap),xvda,w']"
  guest_run "$1" 60 "sh /bed/scenarios/saverestore/guest.sh start $2" || die "$1 has no swap"
  guest_start "$1" sh /bed/scenarios/saverestore/guest.sh hog
  filled() { guest_run g1 20 'grep -q filled /run/hog'; }
  wait_for 120 filled || die "$1 did not fill its memory"
}

# hog_end NAME PREFIX: lets it verify. Its job was the business of the domain before, so its end is
# looked for in the guest.
hog_end() {
  guest_run "$1" 20 'rm /run/pause'
  done_() { guest_run "$1" 20 '! pidof hog'; }
  wait_for 150 done_ "$1" || fail "$1: hog does not end"
  guest_run "$1" 20 'cat /run/hog' > /run/hog.out
  count_pairs "$2" < /run/hog.out
}

# With a backing disk: everything comes home first.
hog_up g1 backing=/dev/xvda
count evacuated.pages_before "$(client g1 .pages.persistent)"
tmem-xl save g1 $save || fail "tmem-xl save: $?"
xl restore $save || die "xl restore failed"
count evacuated.pages_after "$(client g1 '.pages.persistent // 0' | grep . || echo 0)"
hog_end g1 evacuated.
guest_destroy g1
rm $save

# Without one: refused. By plain xl it is saved all the same, and twice restored.
hog_up g1
tmem-xl save g1 $save
count refused.status $?
[ -e $save ] && fail "tmem-xl saved a guest that would lose pages"
xl save g1 $save || die "xl save failed"
for name in plain twice; do
  xl restore $save || die "xl restore failed"
  hog_end g1 $name.
  guest_destroy g1
done
