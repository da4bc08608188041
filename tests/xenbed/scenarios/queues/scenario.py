# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "guests of two CPUs and several queues: swap and cache at once; tmemd comes back allowing fewer, and more"
LIMIT_S = 1500
CPUS = 2
HOST_MIB = 1792
DOM0_MIB = 900
OWN_BOOT = True
ORDER = 92
GATE = False
SETTINGS = {"OPERATIONS": 1000}
DISKS = (Disk("queues-files", 128, "ext4", ("--mib", "48", "--seed", "16")),)
# Rounds, and how many queues the guests have in them: g1 one for each CPU, g2 asks for three. Rings that are
# more than tmemd allows are given up and offered anew; others are taken over as they are.
ROUNDS = {"two": (2, 3), "one": (1, 1), "kept": (1, 1), "restored": (2, 3)}


def check(result):
    for name, queues in ROUNDS.items():
        for guest, count in zip(("g1", "g2"), queues):
            prefix = f"{name}.{guest}."
            yield result.equal(prefix + "queues", count)
            # An event channel each, and all of them at work.
            yield result.equal(prefix + "busy_queues", count)
            for what in ("hogs_failed", "wrong", "lost", "complaints"):
                yield result.equal(prefix + what, 0)
            yield result.at_least(prefix + "out", 2000)
            yield result.equal(prefix + "dom0.pages.persistent", 0)
        yield result.equal(f"{name}.g1.files_failed", 0)
        yield result.at_least(f"{name}.g1.hits", 1000)
    for guest in ("g1", "g2"):
        for ours, theirs in (("put_ok", "puts_ok"), ("get_ok", "hits"), ("flush_ok", "flushes_found")):
            total = sum(result.counts.get(f"two.{guest}.{pool}_{ours}", 0) for pool in ("pool0", "pool1"))
            yield result.equal(f"two.{guest}.dom0.counters.{theirs}", total)
        yield result.equal(f"kept.{guest}.epochs_lost", 1)
