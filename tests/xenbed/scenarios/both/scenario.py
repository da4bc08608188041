# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "swap and page cache of one guest in the pool at once, under memory pressure"
LIMIT_S = 900
HOST_MIB = 1280
DOM0_MIB = 640
ORDER = 60
GATE = False
DISKS = (Disk("both-files", 128, "ext4", ("--mib", "48", "--seed", "6")),)


def check(result):
    yield result.equal("hog.wrong", 0)
    yield result.equal("hog.lost", 0)
    yield result.equal("files.wrong", 0)
    yield result.equal("files.failed", 0)
    yield result.at_least("end.swap_writes_pool", 1000)
    yield result.at_least("end.cache_hits", 100)
    yield result.equal("end.complaints", 0)
    for name, ours in (("put_ok", "puts_ok"), ("get_ok", "hits")):
        total = result[f"end.pool0_{name}"] + result[f"end.pool1_{name}"]
        yield result.equal(f"g1.dom0.counters.{ours}", total)
