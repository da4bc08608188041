# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "a pool full of swap: what lies in it for long goes to the guest's disk, what is wanted stays, nothing is lost"
LIMIT_S = 900
HOST_MIB = 1280
DOM0_MIB = 448
ORDER = 55
GATE = False
# Of a pool of 8192 pages, uncompressed: less than half, more than half, what is read again meanwhile.
SETTINGS = {"FEW": 3000, "MANY": 6000, "WANTED": 500}
DISKS = (Disk("writeback-swap", 64, "empty"),)


def check(result):
    few, many, wanted = (result.settings[name] for name in ("FEW", "MANY", "WANTED"))
    # There is room: nothing moves.
    yield result.equal("few.asked", 0)
    yield result.equal("few.written_back", 0)
    # There is not: asked for until pages have 7/16 of the pool; a second or two more goes.
    yield result.at_least("full.asked", 1)
    yield result.equal("calm.asked", 0)
    yield result.at_most("calm.pool_pages", 3584)
    yield result.at_least("calm.pool_pages", 3584 - 2 * 2048)
    yield result.equal("calm.written_back", many - result["calm.pool_pages"])
    yield result.equal("calm.disk_pages", result["calm.written_back"])
    # What was read a moment before was not taken, and what was taken is on the disk.
    yield result.equal("wanted_again.intact", wanted)
    yield result.equal("wanted_again.from_disk", 0)
    yield result.equal("all.intact", many)
    yield result.equal("all.from_disk", result["calm.written_back"])
    # New pages find room in the pool.
    yield result.equal("more.intact", few)
    yield result.equal("more_written.refused", 0)
    # tmemd dies: what is on the disk is not lost.
    yield result.at_least("survived.intact", 1500)
    for name in ("wanted_again", "all", "more", "survived"):
        for what in ("zero", "old", "wrong"):
            yield result.equal(f"{name}.{what}", 0)
    yield result.equal("end.read_errors", result["survived.lost"])
    yield result.equal("end.complaints", 0)
