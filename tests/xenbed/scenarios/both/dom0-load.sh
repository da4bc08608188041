# SPDX-License-Identifier: GPL-2.0-or-later
# Swap and files of guest g1, whose disk xvda is `both-files`, at once; with its figures.
both() { guest_start g1 "sh /bed/scenarios/both/guest.sh $*"; }
guest_run g1 60 'sh /bed/scenarios/both/guest.sh start' || die "the guest cannot start"
hog=$(both swap "$OPERATIONS")
files=$(both files)
guest_report g1 "$hog" 500 hog.
guest_report g1 "$files" 500 files.
guest_report g1 "$(both end)" 60 end.
client g1 . | count_json g1.dom0
