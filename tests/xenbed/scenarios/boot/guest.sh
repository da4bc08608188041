# SPDX-License-Identifier: GPL-2.0-or-later
echo "kernel=$(uname -r) mem_kib=$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)"
echo "hypervisor=$(cat /sys/hypervisor/type) type=$(cat /sys/hypervisor/guest_type)"
seq 1 2000 | tr '\n' ' '
echo
echo "the end"
