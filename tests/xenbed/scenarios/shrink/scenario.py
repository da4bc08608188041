# SPDX-License-Identifier: GPL-2.0-or-later
SUMMARY = "after a burst, tmem-guestd brings an idle process's pages back from the pool; a second burst stops it"
LIMIT_S = 1500
HOST_MIB = 1024
DOM0_MIB = 448
ORDER = 21
GATE = False
# A process of HOG_MIB is idle while another takes BURST_MIB for a moment. WITHIN_S: after a burst.
SETTINGS = {"HOG_MIB": 24, "BURST_MIB": 115, "WITHIN_S": 300}


def check(result):
    pages = result.settings["HOG_MIB"] << 8
    for burst in ("first", "again"):
        yield result.at_least(f"{burst}.held_pages", 0.7 * pages)
        yield result.at_most(f"{burst}.left_pages", 0.2 * result[f"{burst}.held_pages"])
        yield result.at_most(f"{burst}.seconds", result.settings["WITHIN_S"])
        # In thousandths of a percent.
        yield result.at_most(f"{burst}.some_milli_percent", 100)
    # What went is in the guest, and nowhere else.
    yield result.at_least("first.back_pages", 0.7 * pages)
    yield result.at_most("first.cpu_ms_per_s", 50)
    # While others want the memory, nothing is brought back.
    yield result.at_least("interrupted.back_before", 256)
    yield result.at_least("interrupted.out_pages", 1000)
    yield result.at_most("interrupted.back_in_quiet", 0)
    # Every byte is what it was.
    yield result.equal("hog.pages", pages)
    yield result.equal("hog.wrong", 0)
    yield result.equal("hog.lost", 0)
    yield result.equal("after.complaints", 0)
    yield result.at_most("after.cpu_us_per_s", 1000)
