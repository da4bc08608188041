# SPDX-License-Identifier: GPL-2.0-or-later
SUMMARY = "Xen, dom0, tmemd and a PV guest come up; orders reach the guest"
LIMIT_S = 120
ORDER = 1


def check(result):
    yield result.equal("guest_type", "PV")
    yield result.at_least("guest_mem_kib", 60000)
    yield result.at_least("tmemd.store.budget_bytes", 64 << 20)
