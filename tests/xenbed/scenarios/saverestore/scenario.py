# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "save, checkpoint, restore and migration under swap: with evacuation nothing is lost, without it errors, never wrong"
LIMIT_S = 1200
HOST_MIB = 1856
DOM0_MIB = 1024
ORDER = 80
GATE = False
SETTINGS = {"OPERATIONS": 3000}
DISKS = (Disk("save-swap", 128, "empty"),)


def check(result):
    yield result.at_least("evacuated.pages_before", 1000)
    yield result.at_least("evacuated.swap_evacuated", 1000)
    yield result.equal("evacuated.lost", 0)
    yield result.at_least("migrated.pages_before", 1000)
    yield result.at_least("migrated.swap_evacuated", 1000)
    yield result.equal("migrated.lost", 0)
    yield result.equal("migrated.clients", 1)
    yield result.equal("migrated.evacuate", 0)
    yield result.equal("checkpoint.state", "connected")
    yield result.equal("checkpoint.swap_lost", 0)
    # Nowhere to go: tmem-xl refuses. Plain xl saves all the same, and the pages are lost.
    yield result.at_least("refused.status", 1)
    yield result.at_least("plain.pages_before", 1000)
    for name in ("plain", "once", "twice"):
        yield result.at_least(f"{name}.lost", 1)
        yield result.at_least(f"{name}.swap_lost", 1)
    # Each ran its whole load after it came back, with the pool.
    for name in ("evacuated", "migrated", "plain", "once", "twice"):
        yield result.equal(f"{name}.wrong", 0)
        yield result.equal(f"{name}.pages", 52 * 256)
        yield result.equal(f"{name}.state", "connected")
        yield result.equal(f"{name}.complaints", 0)
