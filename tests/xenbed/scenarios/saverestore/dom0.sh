# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "128M"'
save=/bed/guest.save

# swapping NAME [PARAMETER of tmem_swap]: a guest in the midst of its load.
swapping() {
  guest_create "$1" pv 128 "disk=['phy:$(disk save-swap),xvda,w']"
  guest_run "$1" 60 "sh /bed/scenarios/saverestore/guest.sh start $2" || die "$1 has no swap"
  guest_start "$1" sh /bed/scenarios/saverestore/guest.sh hog "$OPERATIONS"
  guest_run "$1" 300 'until grep -q filled /run/hog; do sleep 1; done' || die "$1 does not fill its memory"
}

# hog_end NAME PREFIX: its job was the business of the domain before; so another looks for its end.
hog_end() {
  guest_report "$1" "$(guest_start "$1" sh /bed/scenarios/saverestore/guest.sh end)" 400 "$2."
}

# With a backing disk: everything comes home first.
swapping g1 backing=/dev/xvda
count evacuated.pages_before "$(client g1 .pages.persistent)"
tmem-xl save g1 $save || fail "tmem-xl save: $?"
xl restore $save || die "xl restore failed"
hog_end g1 evacuated
guest_destroy g1
rm $save

# Without one: refused. By plain xl it is saved all the same, and twice restored.
swapping g1
tmem-xl save g1 $save
count refused.status $?
[ -e $save ] && fail "tmem-xl saved a guest that would lose pages"
count plain.pages_before "$(client g1 .pages.persistent)"
xl save g1 $save || die "xl save failed"
for name in plain twice; do
  xl restore $save || die "xl restore failed"
  hog_end g1 $name
  guest_destroy g1
done
