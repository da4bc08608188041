# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "the pool takes Xen's free memory and gives it back: guests start, nobody reads another's pages"
LIMIT_S = 1200
CPUS = 2
OWN_BOOT = True
HOST_MIB = 976
DOM0_MIB = 448
ORDER = 30
GATE = False
SET_MIB = 288
DISKS = (Disk("fallow-files", SET_MIB * 5 // 4 + 48, "ext4", ("--mib", str(SET_MIB), "--seed", "61")),)
# BIG_MIB: of a guest that needs more than the head-room. SMALL_MIB: of one that does not.
SETTINGS = {"SET_MIB": SET_MIB, "HEAD_MIB": 150, "BIG_MIB": 240, "SMALL_MIB": 128, "CYCLES": 20}
LONG = {"LIMIT_S": 3600, "SETTINGS": {"CYCLES": 200}}

KEPT_BYTES = 4 << 20  # less than this is more than whole slots and the pool's own pages explain


def check_full(result):
    """The pool holds all but the head-room, full of the guest's pages."""
    available = result["full.memory.host.free_bytes"] - result["full.memory.host.claimed_bytes"]
    result.counts["full.above_head_room_bytes"] = available - result["full.memory.head_room_bytes"]
    yield result.equal("full.memory.provider", "pool-domain")
    yield result.at_least("full.above_head_room_bytes", 0)
    yield result.at_most("full.above_head_room_bytes", KEPT_BYTES)
    yield result.at_least("full.memory.held_bytes", 100 << 20)
    yield result.at_least("full.store.held_bytes", 0.9 * result["full.memory.held_bytes"])


def check_guests(result):
    yield result.equal("big.started_without_room", 0)
    yield result.equal("big.started_after_make_room", 1)
    yield result.equal("small.started", 1)
    yield result.equal("cycles.done", result.settings["CYCLES"])
    yield result.equal("cycles.failed", 0)
    for load in ("fill", "load", "after"):
        yield result.equal(f"{load}.wrong", 0)
        yield result.equal(f"{load}.failed", 0)


def check_secrets(result):
    # That a scan finds what is there.
    yield result.at_least("pool.marked", 10000)
    for scan in ("free_after_big", "small_guest", "cycles", "free_after_cycles", "free_at_the_end"):
        yield result.at_least(f"{scan}.scanned", 10000)
        yield result.equal(f"{scan}.marked", 0)


def check(result):
    yield from check_full(result)
    yield from check_guests(result)
    yield from check_secrets(result)
    # In medians of the same reading; what else runs in the emulator delays a batch too.
    for kind in ("calm", "giving"):
        rounds = [f"{kind}{number}" for number in (1, 2, 3)]
        result.counts[f"{kind}.late"] = sum(result[f"{name}.late"] for name in rounds)
        result.counts[f"{kind}.batches"] = sum(result[f"{name}.pages"] // 16 for name in rounds)
        result.counts[f"{kind}.longest"] = sorted(
            round(result[f"{name}.longest_ns"] / result[f"{name}.group_ns"], 1) for name in rounds)[1]
        for name in rounds:
            yield result.equal(f"{name}.wrong", 0)
    for number in (1, 2, 3):
        yield result.at_least(f"giving{number}.given_bytes", 64 << 20)
    yield result.at_most("giving.late", result["calm.late"] * 1.5 + 10)
    yield result.at_most("giving.longest", result["calm.longest"] * 1.5 + 3)
