# SPDX-License-Identifier: GPL-2.0-or-later
from bed import swap
from bed.scenario import Disk

SUMMARY = "two PV guests under memory pressure, swapping into the pool; every byte verified"
LIMIT_S = 1200
HOST_MIB = 1280
DOM0_MIB = 448
ORDER = 10
# PAGES: that go out and come in, of both guests together. LOAD_S: how long they are read and rewritten
# at random at most; filling them and reading all at last are not in it.
SETTINGS = {"HOGS": 1, "HOG_MIB": 52, "OPERATIONS": 500, "LOAD_S": 450, "SWEEP": "", "SYNC": "Y",
            "PAGES": 50000}
# In turn instead of at random, and g2 reads ahead: else it takes three times as long.
LONG = {"LIMIT_S": 9000,
        "SETTINGS": {"HOGS": 2, "HOG_MIB": 100, "OPERATIONS": 400000, "LOAD_S": 7200,
                     "SWEEP": "--sweep 1", "SYNC": "N", "PAGES": 1000000}}
DISKS = (Disk("swap-backing", 256),)

GUESTS = ("g1", "g2")  # g2 has a backing disk, and does not need it


def check(result):
    for guest in GUESTS:
        yield from swap.intact(result, guest)
        yield from swap.accounts(result, guest)
        yield result.at_least(f"{guest}.swap_writes_pool", 0.95 * result[f"{guest}.swap_writes"])
        for name in ("swap_write_errors", "swap_writes_disk"):
            yield result.equal(f"{guest}.{name}", 0)
    swap.moved(result, GUESTS)
    yield result.at_least("pages_moved", result.settings["PAGES"])
    yield result.at_least("page_ins", result.settings["PAGES"] / 4)
