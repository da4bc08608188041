# SPDX-License-Identifier: GPL-2.0-or-later
"""Lists of pages: choosing and mixing them in runs of neighbours, because neighbouring pages resemble
each other and a guest's pages arrive in runs."""

PAGE = 4096
RUN = 16


class CorpusError(Exception):
    """A sentence for the user: what is missing and what to do."""


def runs_of(pages, run=RUN):
    return [pages[i:i + run] for i in range(0, len(pages), run)]


def sample(random, pages, count, run=RUN):
    """At most `count` pages, in runs, each page at most once."""
    runs = runs_of(pages, run)
    random.shuffle(runs)
    chosen = []
    for piece in runs:
        if len(chosen) >= count:
            break
        chosen += piece
    return chosen[:count]


def interleave(random, parts, run=RUN):
    """All pages of all parts, their runs shuffled."""
    runs = [piece for part in parts for piece in runs_of(part, run)]
    random.shuffle(runs)
    return [page for piece in runs for page in piece]


def equal_shares(random, sources, count):
    """{name: pages}: `count` pages in all, equally from each source; who has too few is made up for
    by the others."""
    shares, left = {}, count
    names = sorted(sources, key=lambda name: len(sources[name]))
    for done, name in enumerate(names):
        want = left // (len(names) - done)
        shares[name] = sample(random, sources[name], want)
        left -= len(shares[name])
    if left > 0:
        found = ", ".join(f"{name} {len(sources[name])}" for name in names)
        raise CorpusError(f"{left} pages short: {found}. Ask for fewer with --pages.")
    return shares
