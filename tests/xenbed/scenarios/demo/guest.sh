# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh start plain|tmem | read | program SEED | end stop|stay
# xvda has files, xvdb is for swap.
. /bed/lib.sh

# disk_sectors: of both disks, since the guest's start.
disk_sectors() {
  awk '$3 == "xvda" { print "files_read", $6; print "files_written", $10 }
       $3 == "xvdb" { print "swap_read", $6; print "swap_written", $10 }' /proc/diskstats
}

read_files() { fileset read /mnt --mib "$FILES_MIB" --seed 9; }

case "$1" in
  start)
    mount_disk ext4 xvda
    disk_sectors > /run/before
    awk '$1 == "MemAvailable:" { print "available_kib=" $2 }' /proc/meminfo
    if [ "$2" = tmem ]; then
      connect
      cache_on xvda
      swap_on 0 backing=/dev/xvdb
    else
      swapon /dev/xvdb || die "swapon failed"
    fi
    read_files
    ;;
  read) read_files ;;
  program) hog --mib "$PROGRAM_MIB" --seed "$2" --operations 200 ;;
  end)
    disk_sectors | awk 'NR == FNR { before[$1] = $2; next } { print $1 "=" $2 - before[$1] }' \
      /run/before -
    awk '$1 == "MemTotal:" { print "usable_kib=" $2 }' /proc/meminfo
    if [ "$2" = stay ]; then
      figures pool0_ $TMEM/pool0
      figures pool1_ $TMEM/pool1
      figures swapdev_ $TMEM/swap
    fi
    kernel_complaints
    [ "$2" = stop ] || exit 0
    swapoff /dev/xvdb || die "swapoff failed"
    umount /mnt || die "umount failed"
    echo 3 > /proc/sys/vm/drop_caches
    ;;
esac
