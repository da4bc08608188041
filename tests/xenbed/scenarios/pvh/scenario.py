# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk
from bed.swap import check_both

SUMMARY = "swap and cache of a PVH guest, which is then migrated while it runs"
LIMIT_S = 1800
HOST_MIB = 1536
DOM0_MIB = 448
OWN_BOOT = True
GATE = False
ORDER = 90
SETTINGS = {"OPERATIONS": 1000}
DISKS = (Disk("both-files", 128, "ext4", ("--mib", "48", "--seed", "6")),)


def check(result):
    yield result.equal("guest_type", "PVH")
    yield from check_both(result)
    yield result.equal("migrated.passes", 4)
    yield result.equal("migrated.bad", 0)
    for what in ("wrong", "lost", "complaints"):
        yield result.equal(f"migrated.{what}", 0)
    yield result.equal("migrated.clients", 1)
    yield result.at_least("migrated.dom0.counters.puts_ok", 1000)
