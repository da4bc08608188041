# SPDX-License-Identifier: GPL-2.0-or-later
"""What the scenarios that swap have in common when they judge figures. Keys: GUEST.NAME, as
`swap_settled` of dom0/lib.sh and `hog` report them."""


def intact(result, guest):
    for name in ("wrong", "lost", "complaints", "swap_read_errors", "swap_lost"):
        yield result.equal(f"{guest}.{name}", 0)


def accounts(result, guest):
    """What the guest counted is what dom0 counted; every page written is somewhere; nothing is left in
    the pool after swapoff."""
    for ours, theirs in (("put_ok", "puts_ok"), ("put_no_space", "puts_no_space"),
                         ("get_ok", "hits"), ("flush_ok", "flushes_found")):
        yield result.same(f"{guest}.pool_{ours}", f"{guest}.dom0.counters.{theirs}")
    yield result.at_most(f"{guest}.swap_writes", result[f"{guest}.vm_pswpout"] + 1)  # mkswap's header
    yield result.equal(f"{guest}.pages_after_swapoff", 0)
    yield result.equal(f"{guest}.dom0.pages.persistent", 0)


def moved(result, guests):
    """Counts the pages that went out and came in, by where to and from."""
    def total(*keys):
        return sum(result[f"{guest}.{key}"] for guest in guests for key in keys)
    result.counts.update(
        page_outs_pool=total("swap_writes_pool"), page_outs_disk=total("swap_writes_disk"),
        page_outs_same_filled=total("dom0.counters.puts_same_filled"),
        page_ins_pool=total("swap_reads_pool"), page_ins_staged=total("swap_reads_staged"),
        page_ins_disk=total("swap_reads_disk"))
    ins = total("swap_reads_pool", "swap_reads_staged", "swap_reads_disk")
    outs = total("swap_writes_pool", "swap_writes_disk")
    result.counts.update(page_outs=outs, page_ins=ins, pages_moved=outs + ins)


def check_both(result):
    """Of `dom0-load.sh` of scenario both."""
    for key in ("hog.wrong", "hog.lost", "files.wrong", "files.failed", "end.complaints"):
        yield result.equal(key, 0)
    yield result.at_least("end.swap_writes_pool", 1000)
    yield result.at_least("end.cache_hits", 100)
    for name, ours in (("put_ok", "puts_ok"), ("get_ok", "hits"), ("flush_ok", "flushes_found")):
        total = result[f"end.pool0_{name}"] + result[f"end.pool1_{name}"]
        yield result.equal(f"g1.dom0.counters.{ours}", total)
    yield result.equal("g1.dom0.pages.persistent", 0)
