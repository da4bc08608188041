# SPDX-License-Identifier: GPL-2.0-or-later
SUMMARY = "two PV guests under memory pressure, swapping into the pool; every byte verified"
LIMIT_S = 480
HOST_MIB = 1280
DOM0_MIB = 640
ORDER = 10

GUESTS = ("g1", "g2")
PAGES = 50000  # that went out and came in, of both guests together


def check(result):
    for guest in GUESTS:
        def key(name, guest=guest):
            return f"{guest}.{name}"
        writes = result[key("swap_writes")]
        yield result.equal(key("wrong"), 0)
        yield result.equal(key("lost"), 0)
        yield result.equal(key("complaints"), 0)
        yield result.at_least(key("swap_writes_pool"), 0.95 * writes)
        yield result.at_most(key("swap_writes"), result[key("vm_pswpout")] + 1)  # mkswap's header
        for name in ("swap_write_errors", "swap_read_errors", "swap_lost", "swap_writes_disk"):
            yield result.equal(key(name), 0)
        # What the guest counted is what dom0 counted.
        yield result.same(key("pool_put_ok"), key("dom0.counters.puts_ok"))
        yield result.same(key("pool_get_ok"), key("dom0.counters.hits"))
        yield result.same(key("pool_flush_ok"), key("dom0.counters.flushes_found"))
        yield result.equal(key("pages_after_swapoff"), 0)
        yield result.equal(key("dom0.pages.persistent"), 0)
    outs = sum(result[f"{g}.swap_writes_pool"] for g in GUESTS)
    ins = sum(result[f"{g}.swap_reads_pool"] + result[f"{g}.swap_reads_staged"] for g in GUESTS)
    result.counts.update(page_outs=outs, page_ins=ins, pages_moved=outs + ins)
    yield result.at_least("pages_moved", PAGES)
    yield result.at_least("page_ins", PAGES / 4)
