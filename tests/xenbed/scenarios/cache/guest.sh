# SPDX-License-Identifier: GPL-2.0-or-later
# Usage: guest.sh mount | enable | read SET_MIB NAME [OPTION of fileset...] | end
. /bed/lib.sh
case "$1" in
  mount)
    mount_disk ext4 xvda
    ;;
  enable)
    connect
    cache_on xvda
    ;;
  read)
    set_mib=$2
    shift 3
    before=$(sectors_read xvda)
    fileset read /mnt --mib "$set_mib" --seed 5 "$@"
    status=$?
    echo "sectors=$(($(sectors_read xvda) - before)) hits=$(cat $TMEM/cache/xvda/hits 2>/dev/null)"
    echo "page_cache_kib=$(awk '$1 == "Cached:" { print $2 }' /proc/meminfo)"
    exit $status
    ;;
  end)
    umount /mnt
    figures cache_ $TMEM/cache/xvda
    figures pool_ $TMEM/pool1
    kernel_complaints
    ;;
esac
