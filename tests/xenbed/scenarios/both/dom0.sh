# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "192M"'
guest_create g1 pv 160 "disk=['phy:$(disk both-files),xvda,w']"
guest_run g1 60 'sh /bed/scenarios/both/guest.sh start' || die "the guest cannot start"
hog=$(guest_start g1 'hog --mib 64 --operations 4000 --seed 51')
files=$(guest_start g1 'for pass in 1 2 3; do fileset read /mnt --mib 48 --seed 6 || exit 1; done')
guest_report g1 "$hog" 400 hog.
guest_report g1 "$files" 300 files.
guest_report g1 "$(guest_start g1 sh /bed/scenarios/both/guest.sh end)" 60 end.
client g1 . | count_json g1.dom0
