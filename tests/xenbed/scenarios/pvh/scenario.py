# SPDX-License-Identifier: GPL-2.0-or-later
SUMMARY = "swap and cache in a PVH guest"
LIMIT_S = 900
HOST_MIB = 1280
DOM0_MIB = 640
OWN_BOOT = True
GATE = False
ORDER = 90


def check(result):
    yield result.equal("guest_type", "PVH")
    yield result.equal("g1.wrong", 0)
    yield result.equal("g1.lost", 0)
    yield result.at_least("g1.swap_writes_pool", 0.95 * result["g1.swap_writes"])
    yield result.at_least("g1.swap_writes_pool", 1000)
    yield result.same("g1.pool_put_ok", "g1.dom0.counters.puts_ok")
