# SPDX-License-Identifier: GPL-2.0-or-later
SUMMARY = "guests destroyed while they swap: nothing of them stays, the other guest is not affected"
LIMIT_S = 900
HOST_MIB = 1280
DOM0_MIB = 448
GATE = False
ORDER = 40


def check(result):
    yield result.equal("g2.wrong", 0)
    yield result.equal("g2.lost", 0)
    yield result.at_least("traffic", 1)
    for round_number in ("1", "2"):
        yield result.equal(f"clients_after_{round_number}", 1)
        yield result.equal(f"domains_after_{round_number}", 1)
        yield result.same(f"fds_after_{round_number}", "fds_before")
        yield result.same(f"grants_after_{round_number}", "grants_before")
    # xl closes a guest's devices before it ends the domain: tmemd may see either first.
    xen = "tmemd.transport.xen."
    result.counts["ended"] = result[xen + "closed_guest_died"] + result[xen + "closed_by_guest"]
    yield result.equal(xen + "connected", 3)
    yield result.equal("ended", 2)
