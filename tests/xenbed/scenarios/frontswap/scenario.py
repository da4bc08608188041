# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "plain disk swap through frontswap: pages go to the pool; what it loses is never read from the disk"
LIMIT_S = 900
HOST_MIB = 1280
DOM0_MIB = 448
GATE = False
ORDER = 15
# PAGES: stored and loaded, of both guests together. LOAD_S: limit of the load; LOSS_MIB: memory of
# the program that loses its pages.
SETTINGS = {"HOG_MIB": 52, "OPERATIONS": 500, "LOAD_S": 300, "LOSS_MIB": 44, "PAGES": 50000}
DISKS = (Disk("frontswap-1", 160, "swap"), Disk("frontswap-2", 160, "swap"))

GUESTS = ("g1", "g2")  # g1 swaps already when the module comes, g2 does not


def check_load(result, guest):
    def key(name):
        return f"{guest}.{name}"
    for name in ("wrong", "lost", "complaints", "fs_load_errors", "fs_reads_guarded", "fs_lost",
                 "fs_pool_pages"):
        yield result.equal(key(name), 0)
    yield result.at_least(key("fs_stores_pool"), 0.95 * result[key("fs_stores")])
    # An emulated host may be late: such a page goes to the disk.
    yield result.at_most(key("fs_stores_failed"), 0.01 * result[key("fs_stores")])
    # What the pool took never came to the disk.
    yield result.at_most(key("sectors_written"), 8 * result[key("vm_pswpout")])
    yield result.at_most(key("vm_pswpout"), result[key("fs_stores_passed")])
    for ours, theirs in (("put_ok", "puts_ok"), ("get_ok", "hits"), ("flush_ok", "flushes_found")):
        yield result.same(key(f"pool_{ours}"), key(f"dom0.counters.{theirs}"))
    yield result.equal(key("dom0.pages.persistent"), 0)


def check(result):
    for guest in GUESTS:
        yield from check_load(result, guest)
    outs = sum(result[f"{guest}.fs_stores_pool"] for guest in GUESTS)
    ins = sum(result[f"{guest}.fs_loads_pool"] for guest in GUESTS)
    result.counts.update(page_outs=outs, page_ins=ins, pages_moved=outs + ins)
    yield result.at_least("pages_moved", result.settings["PAGES"])
    yield result.at_least("page_ins", result.settings["PAGES"] / 4)
    # The daemon lost its memory: SIGBUS for each page, none is wrong.
    yield result.at_least("loss.stored", 1000)
    yield result.equal("loss.wrong", 0)
    yield result.at_least("loss.lost", result["loss.stored"] / 2)
    yield result.at_least("loss.fs_reads_guarded", result["loss.lost"])
    yield result.equal("loss.swapoff", 0)
    yield result.equal("loss.fs_pool_pages", 0)
    yield result.equal("rmmod", "refused")
    yield result.equal("loss.complaints", 0)
