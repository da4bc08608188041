# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "every way to read and write files at once, with the cache on; every read checked; fsck"
LIMIT_S = 480
HOST_MIB = 1280
DOM0_MIB = 640
GATE = False
ORDER = 30
DISKS = (Disk("coherency-ext4", 128, "ext4"), Disk("coherency-xfs", 320, "xfs"))


def check(result):
    for kind in ("ext4", "xfs"):
        yield result.equal(f"{kind}.mismatches", 0)
        yield result.equal(f"{kind}.failed", 0)
        yield result.equal(f"{kind}.stale", 0)
        yield result.equal(f"{kind}.stale_pages", 0)
        yield result.equal(f"{kind}.cache_writes_missed", 0)
        # The pool was really in between.
        yield result.at_least(f"{kind}.cache_hits", 100)
        yield result.at_least(f"{kind}.cache_invalidations", 10)
        yield result.equal(f"{kind}.fsck", 0)
    yield result.at_least("ext4.operations", 3000)
    yield result.equal("end.complaints", 0)
