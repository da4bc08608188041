# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh ext4|xfs DISK OPERATIONS SECONDS
. /bed/lib.sh
disk=$2
mount_disk "$1" $disk
connect
cache_on $disk
# Files of 2 MiB for each process, page cache for a third of them: evictions all the time.
echo 26M > /sys/fs/cgroup/load/memory.high
coherency /mnt --processes 6 --operations $3 --seed 9 || failed=1
diorace /mnt/race --mib 8 --seconds $4 --readers 2 --seed 9 || failed=1
echo max > /sys/fs/cgroup/load/memory.high
umount /mnt
figures cache_ $TMEM/cache/$disk
exit ${failed:-0}
