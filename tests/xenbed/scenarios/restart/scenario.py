# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "tmemd is killed or stands still under a guest's traffic: lost pages are errors, never wrong; it goes on"
LIMIT_S = 900
HOST_MIB = 1280
DOM0_MIB = 448
GATE = False
ORDER = 50
SET_MIB = 32
DISKS = (Disk("restart-files", 64, "ext4", ("--mib", str(SET_MIB), "--seed", "23")),)


def check_slots(result):
    """What was stored is lost, and what is lost is neither zeroes nor old."""
    yield result.at_least("dom0.pages.persistent", 1900)
    for name, intact, lost in (("lost", 0, 2000), ("anew", 1000, 0), ("still_lost", 0, 1000)):
        yield result.equal(f"{name}.intact", intact)
        yield result.equal(f"{name}.lost", lost)
        for what in ("zero", "old", "wrong"):
            yield result.equal(f"{name}.{what}", 0)


def check_files(result):
    for name in ("stored_files", "away", "back", "back_again"):
        yield result.equal(f"{name}.read", SET_MIB * 256)
        yield result.equal(f"{name}.wrong", 0)
        yield result.equal(f"{name}.failed", 0)
    # While the daemon is away, all comes from the disk; afterwards the cache fills anew.
    yield result.equal("away.hits", 0)
    yield result.at_least("away.sectors", SET_MIB * 2048)
    yield result.at_least("back_again.hits", 1000)


def check_silence(result):
    """Of a tmemd that stands still a read fails in bounded time, and nothing is lost by it."""
    yield result.equal("silent.lost", 4)
    yield result.at_least("silent.ms", 3000)
    yield result.at_most("silent.ms", 20000)
    for name, intact in (("silent", 0), ("after_silence", 1000), ("at_last", 1000)):
        yield result.equal(f"{name}.intact", intact)
        for what in ("zero", "old", "wrong"):
            yield result.equal(f"{name}.{what}", 0)


def check(result):
    yield from check_slots(result)
    yield from check_silence(result)
    yield from check_files(result)
    yield result.equal("hog.wrong", 0)
    yield result.at_least("hog.lost", 1)
    yield result.at_least("hog.swap_lost", 1)
    # Without a reload the next load is served.
    yield result.equal("after.wrong", 0)
    yield result.equal("after.lost", 0)
    yield result.at_least("after.swap_writes_pool", result["hog.swap_writes_pool"] + 1000)
    yield result.equal("state", "connected")
    yield result.equal("epochs_lost", 2)
    yield result.equal("complaints", 0)
