# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh mount | enable | end, or guest.sh NAME [OPTION...]: one reading of the file set
. /bed/lib.sh
case "$1" in
  mount)
    mount_disk ext4 xvda
    ;;
  enable)
    connect
    cache_on xvda
    ;;
  end)
    umount /mnt
    figures cache_ $TMEM/cache/xvda
    figures pool_ $TMEM/pool1
    kernel_complaints
    ;;
  *)
    shift
    before=$(sectors_read xvda)
    fileset read /mnt --mib 64 --seed 5 "$@"
    status=$?
    echo "sectors=$(($(sectors_read xvda) - before)) hits=$(cat $TMEM/cache/xvda/hits 2>/dev/null)"
    exit $status
    ;;
esac
