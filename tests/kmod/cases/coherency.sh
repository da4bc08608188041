# SPDX-License-Identifier: GPL-2.0-or-later
# Every read of a stress is checked while the core is slow, loses, refuses and breaks.
# MEMORY 512
# SECONDS 400
core_options="pages=16384 delay_us=300 lose_percent=1 fail_percent=1 refuse_percent=3 no_flush_percent=20"
load disks=vda,vdb
check "ext4 is mounted" mount -t ext4 -o discard /dev/vda /mnt/a
check "xfs is mounted" mount -t xfs -o discard /dev/vdb /mnt/b
break_and_mend() {
  while [ -e /run/breaking ]; do
    sleep 3
    fake connected 0
    sleep 1
    fake connected 1
  done
}
touch /run/breaking
break_and_mend &
for case in vda:a vdb:b; do
  disk=${case%%:*} folder=/mnt/${case##*:}
  coherency "$folder" --processes 6 --operations 700 --seed 7 > /run/stress || fail "$disk: coherency"
  cat /run/stress
  count "$disk.operations" "$(sed 's/operations=\([0-9]*\).*/\1/' /run/stress)"
  count "$disk.mismatches" "$(sed 's/.*mismatches=\([0-9]*\).*/\1/' /run/stress)"
  check "$disk: direct writes against readers" diorace "$folder/race" --mib 4 --seconds 10
  check "$disk: everything that is free is discarded" fstrim "$folder"
  check "$disk: and what is not is intact" coherency "$folder" --processes 2 --operations 100
  all_writes_seen "$disk"
  counts_of "$disk"
  check "$disk: the pool was used" [ "$(stat_of "$disk" hits)" -gt 500 ]
done
rm /run/breaking
wait
umount /mnt/a /mnt/b
fsck_ext4 vda
fsck_xfs vdb
