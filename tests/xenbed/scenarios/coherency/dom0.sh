# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "128M"'
guest_create g1 pv 160 \
  "disk=['phy:$(disk coherency-ext4),xvda,w','phy:$(disk coherency-xfs),xvdb,w']"
part() {
  guest_report g1 "$(guest_start g1 sh /bed/scenarios/coherency/guest.sh "$@" "$RACE_S")" "$PART_S" "$1."
}
part ext4 xvda "$EXT4"
part xfs xvdb "$XFS"
guest_report g1 "$(guest_start g1 '. /bed/lib.sh; figures pool_ $TMEM/pool1; kernel_complaints')" 30 end.
client g1 . | count_json g1.dom0
guest_destroy g1
e2fsck -fn "$(disk coherency-ext4)" > /run/fsck 2>&1
count ext4.fsck $?
xfs_repair -n "$(disk coherency-xfs)" > /run/fsck 2>&1
count xfs.fsck $?
