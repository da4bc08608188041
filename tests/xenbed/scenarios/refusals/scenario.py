# SPDX-License-Identifier: GPL-2.0-or-later
from bed import swap
from bed.scenario import Disk

SUMMARY = "swap beyond a guest's cap: to its backing disk, or without one not at all; never wrong"
LIMIT_S = 1200
HOST_MIB = 1280
DOM0_MIB = 448
ORDER = 15
GATE = False
# ALONE: of the guest without a disk, whose kernel tries in vain to swap out all the time.
SETTINGS = {"OPERATIONS": 1000, "ALONE_OPERATIONS": 1000, "LOAD_S": 500, "PAGES": 10000}
LONG = {"LIMIT_S": 3600,
        "SETTINGS": {"OPERATIONS": 100000, "ALONE_OPERATIONS": 10000, "LOAD_S": 1700, "PAGES": 120000}}
DISKS = (Disk("swap-backing", 256), Disk("both-files", 128, "ext4", ("--mib", "48", "--seed", "6")))

GUESTS = ("g1", "g2")


def check(result):
    for guest in GUESTS:
        yield from swap.intact(result, guest)
        yield from swap.accounts(result, guest)
        yield result.at_least(f"{guest}.pool_put_no_space", 500)
        yield result.at_least(f"{guest}.swap_writes_pool", 500)
    # With a disk, it takes what is refused; without, the page stays in memory.
    yield result.at_least("g1.swap_writes_disk", 500)
    yield result.at_least("g1.swap_reads_disk", 500)
    yield result.equal("g1.swap_write_errors", 0)
    yield result.at_least("g2.swap_write_errors", 500)
    yield result.equal("g2.files_wrong", 0)
    yield result.equal("g2.files_failed", 0)
    swap.moved(result, GUESTS)
    yield result.at_least("pages_moved", result.settings["PAGES"])
