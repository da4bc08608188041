# SPDX-License-Identifier: GPL-2.0-or-later
from statistics import median

SUMMARY = "time, events and hypercalls of a page, beside zram in the same guest"
LIMIT_S = 900
HOST_MIB = 1024
DOM0_MIB = 448
ORDER = 210
GATE = False

ROUNDS, DEPTHS, PAGES = (1, 2, 3), (1, 8, 64, 256), 1024
OURS, ZRAM = "tmemswap0", "zram0"
TRACED = (1, 64)


def block(result, device, operation, depth, figure):
    """The median of the rounds."""
    return median(result[f"{r}.{device}_{operation}_{depth}_{figure}"] for r in ROUNDS)


def swap_us(result, device):
    """Time of the load by the pages that it moved."""
    moved = result[f"swap.{device}.pswpin"] + result[f"swap.{device}.pswpout"]
    return 1000 * sum(result[f"swap.{device}.{t}_ms"] for t in ("fill", "work", "verify")) / moved


def hypercalls(result, operation, depth, domain, names=None):
    """A page's, beyond those that the same load makes on zram; of these names, or all."""
    def total(device):
        prefix = f"trace.{device}.{operation}.{depth}.{domain}."
        return sum(value for key, value in result.counts.items()
                   if key.startswith(prefix) and (not names or key[len(prefix):] in names))
    return (total(OURS) - total(ZRAM)) / PAGES


def check(result):
    for r in ROUNDS:
        for device in (OURS, ZRAM):
            for depth in DEPTHS:
                for operation in ("write", "read"):
                    yield result.equal(f"{r}.{device}_{operation}_{depth}_wrong", 0)
        for depth in DEPTHS:  # each page was asked of the daemon
            yield result.at_least(f"{r}.{OURS}_write_{depth}_requests", PAGES)
            yield result.at_least(f"{r}.{OURS}_read_{depth}_requests", 0.9 * PAGES)
    for device in (OURS, ZRAM):
        yield result.equal(f"swap.{device}.wrong", 0)
        yield result.equal(f"swap.{device}.lost", 0)
        yield result.at_least(f"swap.{device}.pswpout", 1000)
    for operation in ("write", "read"):
        # Batching saves events: one for 8 pages at most. A put one by one needs few, too: it has a credit.
        result.counts[f"{operation}.events_64"] = block(result, OURS, operation, 64, "events_sent")
        yield result.at_most(f"{operation}.events_64", PAGES / 8)


def show(result):
    lines = ["", f"{'us a page, medians':28}{'tmem':>9}{'zram':>9}{'ratio':>7}{'events sent':>13}"
             f"{'received':>10}"]
    for operation, name in (("write", "put"), ("read", "get")):
        for depth in DEPTHS:
            ours, other = (block(result, device, operation, depth, "page_ns") / 1000
                           for device in (OURS, ZRAM))
            sent, got = (block(result, OURS, operation, depth, f"events_{way}") / PAGES
                         for way in ("sent", "received"))
            lines.append(f"{name + f', {depth} in flight':28}{ours:9.0f}{other:9.0f}"
                         f"{ours / other:7.1f}{sent:13.3f}{got:10.3f}")
    ours, other = swap_us(result, OURS), swap_us(result, ZRAM)
    moved = result[f"swap.{OURS}.pswpin"] + result[f"swap.{OURS}.pswpout"]
    sent, got = (result[f"swap.{OURS}.events_{way}"] / moved for way in ("sent", "received"))
    lines.append(f"{'swap, in or out':28}{ours:9.0f}{other:9.0f}{ours / other:7.1f}{sent:13.3f}"
                 f"{got:10.3f}")
    rate = 1e9 / block(result, OURS, "read", 1, "page_ns")
    most = max(1e9 / block(result, OURS, "read", d, "page_ns") for d in DEPTHS)
    lines += [f"round trips a second: {rate:.0f} one by one, {most:.0f} with many in flight", "",
              f"{'hypercalls a page':28}{'guest':>9}{'of which events':>17}{'dom0':>9}"]
    for operation, name in (("write", "put"), ("read", "get")):
        for depth in TRACED:
            events = hypercalls(result, operation, depth, "guest", ("evtchn_op",))
            guest, dom0 = (hypercalls(result, operation, depth, d) for d in ("guest", "dom0"))
            lines.append(f"{name + f', {depth} in flight':28}{guest:9.2f}{events:17.3f}{dom0:9.2f}")
    return "\n".join(lines)
