# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk
from bed.swap import check_both

SUMMARY = "swap and cache of a PVH guest"
LIMIT_S = 1800
HOST_MIB = 1280
DOM0_MIB = 448
OWN_BOOT = True
GATE = False
ORDER = 90
SETTINGS = {"OPERATIONS": 1000}
DISKS = (Disk("both-files", 128, "ext4", ("--mib", "48", "--seed", "6")),)


def check(result):
    yield result.equal("guest_type", "PVH")
    yield from check_both(result)
