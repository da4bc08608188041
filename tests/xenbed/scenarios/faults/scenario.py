# SPDX-License-Identifier: GPL-2.0-or-later
"""Needs modules with switches that break them: `tests/xenbed/run --kmod TMEM_FAULTS=1 faults`."""
from bed.scenario import Disk

SUMMARY = "the test of coherency has teeth: it notices a cache that is broken on purpose"
LIMIT_S = 900
HOST_MIB = 1280
DOM0_MIB = 448
GATE = False
KMOD = "TMEM_FAULTS=1"
ORDER = 31
# As in scenario coherency; a fault may be caught by either part.
FAULTS = ("none", "no_invalidate", "no_generation")
SETTINGS = {"EXT4": 500, "RACE_S": 60, "FAULTS": " ".join(FAULTS)}
DISKS = tuple(Disk(f"faults-{fault}", 128, "ext4") for fault in FAULTS)


def check(result):
    yield result.equal("none.caught", 0)
    yield result.equal("no_invalidate.caught", 1)
    yield result.equal("no_generation.caught", 1)
