# SPDX-License-Identifier: GPL-2.0-or-later
. /bed/scenarios/policy/dom0-memory.sh
tmemd_for_policy $HEAD_MIB host
for number in 1 2; do guest_for_policy $number $START_MIB $MAX_MIB; done
recorder_start
for number in 1 2; do
  guest_report g$number "$(in_guest g$number start)" 60 "start.g$number."
done
