# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "128M"'
save=/bed/guest.save

# swap_guest NAME [PARAMETER of tmem_swap]
swap_guest() {
  guest_create "$1" pv 128 "disk=['phy:$(disk save-swap),xvda,w']"
  guest_run "$1" 60 "sh /bed/scenarios/saverestore/guest.sh start $2" || die "$1 has no swap"
}

# swapping NAME: brings it into the midst of its load.
swapping() {
  guest_start "$1" sh /bed/scenarios/saverestore/guest.sh hog "$OPERATIONS"
  guest_run "$1" 300 'until grep -q filled /run/hog; do sleep 1; done' || die "$1 does not fill its memory"
}

# hog_end NAME PREFIX: its job was the business of the domain before; so another looks for its end.
hog_end() {
  guest_report "$1" "$(guest_start "$1" sh /bed/scenarios/saverestore/guest.sh end)" 400 "$2."
}

# With a backing disk: everything comes home first.
swap_guest g1 backing=/dev/xvda
swapping g1
count evacuated.pages_before "$(client g1 .pages.persistent)"
tmem-xl save g1 $save || fail "tmem-xl save: $?"
xl restore $save || die "xl restore failed"
hog_end g1 evacuated
rm $save
guest_destroy g1

# The same to another host, which is this one. Xen without shadow paging, as Debian's is, cannot send a PV
# guest: then it goes on here, with the pool.
swap_guest g1 backing=/dev/xvda
swapping g1
count migrated.pages_before "$(client g1 .pages.persistent)"
tmem-xl migrate -s '' g1 'xl migrate-receive'
count migrated.status $?
hog_end g1 migrated
count migrated.clients "$(tmem list --json | jq length)"
guest_destroy g1

# Without one: as long as there is nothing in the pool.
swap_guest g1
tmem-xl save g1 $save || fail "tmem-xl save of a guest without pages: $?"
xl restore $save || die "xl restore failed"
rm $save
# Then refused, a checkpoint apart: the guest stays, and loses nothing by it. By plain xl it is saved all the
# same.
swapping g1
xl save -c g1 $save || die "xl save -c failed"
guest_run g1 60 '. /bed/lib.sh; figures "" $TMEM; figures swap_ $TMEM/swap' |
  count_pairs checkpoint.
tmem-xl save g1 $save.plain
count refused.status $?
[ -e $save.plain ] && fail "tmem-xl saved a guest that would lose pages"
count plain.pages_before "$(client g1 .pages.persistent)"
xl save g1 $save.plain || die "xl save failed"
# The checkpoint, twice: what became of the guest after it is another life.
for name in plain once twice; do
  file=$save
  [ $name != plain ] || file=$save.plain
  xl restore $file || die "xl restore failed"
  [ $name != plain ] || rm $file
  hog_end g1 $name
  guest_destroy g1
done
