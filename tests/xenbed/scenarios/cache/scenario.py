# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "a guest re-reads a file set larger than its page cache: from the pool, not from the disk"
LIMIT_S = 900
HOST_MIB = 1280
DOM0_MIB = 448
GATE = False
ORDER = 20


def disk(set_mib):
    return Disk(f"cache-files-{set_mib}", set_mib * 5 // 4 + 48, "ext4",
                ("--mib", str(set_mib), "--seed", "5"))


# PASS_S: limit of one reading.
SETTINGS = {"SET_MIB": 64, "GUEST_MIB": 128, "POOL": "192M", "PASS_S": 200}
DISKS = (disk(64),)
LONG = {"LIMIT_S": 7200, "HOST_MIB": 2304, "DOM0_MIB": 640, "DISKS": (disk(500),),
        "SETTINGS": {"SET_MIB": 500, "GUEST_MIB": 336, "POOL": "640M", "PASS_S": 1500}}


def check(result):
    set_mib = result.settings["SET_MIB"]
    for number in ("without", "pass1", "pass2", "pass3", "random", "mixed"):
        yield result.equal(f"{number}.wrong", 0)
        yield result.equal(f"{number}.failed", 0)
        yield result.equal(f"{number}.read", set_mib * 256)
    # Without the module, most of a second reading comes from the disk: else nothing is shown.
    baseline = result["without.sectors"]
    yield result.at_least("without.sectors", set_mib * 2048 * 0.6)
    yield result.at_most("pass2.sectors", 0.05 * baseline)
    yield result.at_most("pass3.sectors", 0.05 * baseline)
    yield result.equal("g1.cache_writes_missed", 0)
    yield result.at_most("g1.cache_stale_hits", 0.01 * result["g1.cache_hits"])
    yield result.same("g1.pool_put_ok", "g1.dom0.counters.puts_ok")
    yield result.same("g1.pool_get_ok", "g1.dom0.counters.hits")
    yield result.equal("g1.complaints", 0)
    yield result.equal("fsck", 0)
