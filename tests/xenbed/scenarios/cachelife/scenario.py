# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "a cached disk: access modes, detached and attached, a checkpoint, saved and restored"
LIMIT_S = 900
HOST_MIB = 1728
DOM0_MIB = 900
ORDER = 62
GATE = False
DISKS = (Disk("life-files", 128, "ext4", ("--mib", "96", "--seed", "8")),)


def check(result):
    for name, status in (("shared", 1), ("reader", 1), ("writer", 0)):
        yield result.equal(f"mode_{name}.status", status)
    yield result.at_least("mode_shared.said", 1)
    yield result.at_least("mode_reader.said", 1)
    yield result.equal("again.complaints", 0)
    for name in ("first", "second", "third", "restored"):
        yield result.at_least(f"{name}.hits", 5000)
        yield result.equal(f"{name}.wrong", 0)
    # The flush of a resume waits for no answer that cannot come.
    for name in ("calm", "busy"):
        yield result.at_most(f"{name}.flushing_ms", 1000)
    yield result.equal("busy.wrong", 0)
    yield result.at_least("end.cache_flushes", 3)
    yield result.equal("end.pool_unanswered", 0)
    yield result.equal("end.pool_timed_out", 0)
    yield result.equal("end.complaints", 0)
