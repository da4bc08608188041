# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh HOG_MIB OPERATIONS SEED
# Memory that would do, and a reader of files: the kernel would rather swap, and need not.
. /bed/lib.sh
mount_disk ext4 xvda
connect
swap_on 160
echo 200 > /proc/sys/vm/swappiness
(
  while [ ! -e /run/done ]; do
    fileset read /mnt --mib 48 --seed 6 > /run/files || break
  done
) &
hog --mib "$1" --operations "$2" --seed "$3"
status=$?
touch /run/done
wait
sed 's/\([a-z]*\)=/files_\1=/g' /run/files
vmstat pswpin pswpout
swapoff /dev/tmemswap0 || die "swapoff failed"
exit $status
