# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "a pool full of swap: what lies in it for long goes to the guest's disk, what is wanted stays, nothing is lost"
LIMIT_S = 900
HOST_MIB = 1280
DOM0_MIB = 448
ORDER = 55
GATE = False
# Of a pool of 8192 pages, uncompressed, of which some 850 are not for pages: much less than all, nearly all, what
# is read again meanwhile, what is written later.
SETTINGS = {"FEW": 3000, "MANY": 7000, "WANTED": 500, "MORE": 1000}
DISKS = (Disk("writeback-swap", 64, "empty"),)


def check(result):
    many, wanted, more = (result.settings[name] for name in ("MANY", "WANTED", "MORE"))
    # There is room: nothing moves.
    yield result.equal("few.asked", 0)
    yield result.equal("few.written_back", 0)
    # There is not: asked for until 13/16 of the pool are taken; a second or two more goes.
    yield result.at_least("full.asked", 1)
    yield result.equal("calm.asked", 0)
    yield result.at_most("calm.pool_pages", 6200)
    yield result.at_least("calm.pool_pages", 5800 - 2 * 2048)
    yield result.equal("calm.written_back", many - result["calm.pool_pages"])
    yield result.equal("calm.disk_pages", result["calm.written_back"])
    # What was read a moment before was not taken, and what was taken is on the disk.
    yield result.equal("wanted_again.intact", wanted)
    yield result.equal("wanted_again.from_disk", 0)
    yield result.equal("all.intact", many)
    yield result.equal("all.from_disk", result["calm.written_back"])
    # New pages find room in the pool.
    yield result.equal("more.intact", more)
    yield result.equal("more_written.refused", 0)
    # tmemd dies: what is on the disk is not lost.
    yield result.at_least("survived.intact", result["calm.written_back"])
    yield result.at_least("survived.lost", 1)
    for name in ("wanted_again", "all", "more", "survived"):
        for what in ("zero", "old", "wrong"):
            yield result.equal(f"{name}.{what}", 0)
    yield result.equal("end.read_errors", result["survived.lost"])
    yield result.equal("end.complaints", 0)
