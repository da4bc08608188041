# SPDX-License-Identifier: GPL-2.0-or-later
SUMMARY = "tmemd is killed under a guest that swaps: lost pages are errors, never wrong; it goes on"
LIMIT_S = 420
HOST_MIB = 1280
DOM0_MIB = 640
GATE = False
ORDER = 50


def check(result):
    # What was in the pool is lost, and is told apart from what is wrong.
    yield result.equal("lost.wrong", 0)
    yield result.at_least("lost.lost", 1)
    yield result.at_least("lost.swap_lost", 1)
    # Without a reload the next load is served.
    yield result.equal("after.wrong", 0)
    yield result.equal("after.lost", 0)
    yield result.equal("state", "connected")
    yield result.at_least("epochs_lost", 1)
    yield result.at_least("after.swap_writes_pool", result["lost.swap_writes_pool"] + 1)
    yield result.equal("complaints", 0)
