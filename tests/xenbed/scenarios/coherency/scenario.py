# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "every way to read and write files at once, with the cache on; every read checked; fsck"
LIMIT_S = 900
HOST_MIB = 1280
DOM0_MIB = 448
GATE = False
ORDER = 30
# Operations of each of six processes; limit of one file system's part.
SETTINGS = {"EXT4": 500, "XFS": 150, "RACE_S": 15, "PART_S": 400}
LONG = {"LIMIT_S": 7200, "SETTINGS": {"EXT4": 3400, "XFS": 1000, "RACE_S": 60, "PART_S": 3500}}
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
        yield result.equal(f"{kind}.operations", 6 * result.settings[kind.upper()])
    yield result.same("end.pool_put_ok", "g1.dom0.counters.puts_ok")
    yield result.same("end.pool_get_ok", "g1.dom0.counters.hits")
    yield result.equal("end.complaints", 0)
