# SPDX-License-Identifier: GPL-2.0-or-later
tmemd_start '[pool]
memory = "192M"'
guest_create g1 pv 160 "disk=['phy:$(disk both-files),xvda,w']"
. /bed/scenarios/both/dom0-load.sh
