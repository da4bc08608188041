# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "192M"'
save=/bed/guest.save
script=/bed/scenarios/cachelife/guest.sh
guest_create g1 pv 160 "disk=['phy:$(disk life-files),xvda,w']"
guest_run g1 60 "sh $script start" || die "the guest cannot start"

# The host's access mode: others may write to a disk of mode w!, and do to one of mode r.
backend=$(xenstore-read "/local/domain/$(domid g1)/device/vbd/51712/backend")
mode() { # NAME MODE
  local status=0
  xenstore-write "$backend/mode" "$2"
  guest_run g1 30 "sh $script enable" > "/run/mode_$1" || status=$?
  cat "/run/mode_$1"
  count "mode_$1.status" $status
}
mode shared 'w!'
count mode_shared.said "$(grep -c 'shared with other guests' /run/mode_shared)"
mode reader r
count mode_reader.said "$(grep -c 'its writer is elsewhere' /run/mode_reader)"
mode writer w
guest_report g1 "$(guest_start g1 sh $script read)" 200 first.

# Another disk of the same name, at once.
guest_run g1 30 umount /mnt
xl block-detach g1 xvda || fail "xl block-detach failed"
xl block-attach g1 "phy:$(disk life-files),xvda,w" || fail "xl block-attach failed"
guest_report g1 "$(guest_start g1 sh $script again)" 60 again.
guest_report g1 "$(guest_start g1 sh $script read)" 200 second.

# A checkpoint, and a life on another host: what is cached is worthless. With puts on their way, and without.
for name in calm busy; do
  job=
  [ $name = busy ] && job=$(guest_start g1 sh $script busy)
  watch=$(guest_start g1 sh $script watch)
  guest_run g1 30 'until [ -e /run/watching ]; do sleep 0.1; done; rm /run/watching' || die "nobody watches"
  xl save -c g1 $save || die "xl save -c failed"
  guest_report g1 "$watch" 60 "$name."
  [ -n "$job" ] && guest_report g1 "$job" 200 "$name."
  rm $save
done
guest_report g1 "$(guest_start g1 sh $script read)" 200 third.
xl save g1 $save || die "xl save failed"
xl restore $save || die "xl restore failed"
rm $save
guest_report g1 "$(guest_start g1 sh $script read)" 200 restored.
guest_report g1 "$(guest_start g1 sh $script end)" 60 end.
