# SPDX-License-Identifier: GPL-2.0-or-later
# A file set larger than the page cache, on ext4 and xfs: passes 2 and 3 read nothing from the disk.
# MEMORY 512
core_options="pages=40960 put_slots=96 delay_us=100"
load disks=vda,vdb
pass() { # DISK FOLDER NAME ORDER
  before=$(sectors_read "$1")
  check "$3: the files are intact" eval "fileset read $2 --mib 160 --order $4 > /run/pass"
  count "$1.$3.sectors" $(($(sectors_read "$1") - before))
  echo $(($(sectors_read "$1") - before)) > "/run/$1.$3"
  count "$1.$3.ms" "$(sed 's/.*ms=//' /run/pass)"
}
# Leaves about 80 MiB for the page cache.
dd if=/dev/zero of=/run/ballast bs=1M count=100 2> /dev/null
for case in vda:a:ext4 vdb:b:xfs; do
  disk=${case%%:*} type=${case##*:} folder=/mnt/$(echo $case | cut -d: -f2)
  check "$type is mounted" mount -t "$type" "/dev/$disk" "$folder"
  fileset create "$folder" --mib 160 > /run/created || fail "create"
  sync
  drop_caches 3
  for number in 1 2 3; do pass "$disk" "$folder" "pass$number" sequential; done
  pass "$disk" "$folder" random random
  # Bios larger than what is served in one piece.
  echo 4096 > "/sys/block/$disk/queue/read_ahead_kb"
  pass "$disk" "$folder" ahead sequential
  for name in pass2 pass3 random ahead; do
    check "$disk: $name reads 95 % less" [ "$(cat /run/$disk.$name)" -lt 16384 ]
  done
  counts_of "$disk"
  all_writes_seen "$disk"
  umount "$folder"
done
