# SPDX-License-Identifier: GPL-2.0-or-later
# A guest and a disk of its own for each fault, as it may ruin the file system.
tmemd_start '[pool]
memory = "128M"'
for fault in $FAULTS; do
  guest_create g1 pv 160 "disk=['phy:$(disk "faults-$fault"),xvda,w']"
  guest_report g1 "$(guest_start g1 sh /bed/scenarios/faults/guest.sh "$fault" "$EXT4" "$RACE_S")" 400 "$fault."
  guest_destroy g1
done
