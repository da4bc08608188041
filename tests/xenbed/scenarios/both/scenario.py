# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk
from bed.swap import check_both

SUMMARY = "swap and page cache of one guest in the pool at once, under memory pressure"
LIMIT_S = 900
HOST_MIB = 1280
DOM0_MIB = 448
ORDER = 60
SETTINGS = {"OPERATIONS": 4000}
DISKS = (Disk("both-files", 128, "ext4", ("--mib", "48", "--seed", "6")),)

check = check_both
