# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "save and restore under swap: with evacuation nothing is lost, without it errors, never wrong"
LIMIT_S = 700
HOST_MIB = 1536
DOM0_MIB = 900
ORDER = 80
GATE = False
DISKS = (Disk("save-swap", 128, "empty"),)


def check(result):
    yield result.at_least("evacuated.pages_before", 1000)
    yield result.equal("evacuated.pages_after", 0)
    yield result.equal("evacuated.wrong", 0)
    yield result.equal("evacuated.lost", 0)
    # Nowhere to go: tmem-xl refuses. Plain xl saves all the same, and the pages are lost.
    yield result.at_least("refused.status", 1)
    for name in ("plain", "twice"):
        yield result.equal(f"{name}.wrong", 0)
        yield result.at_least(f"{name}.lost", 1)
