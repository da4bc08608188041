# SPDX-License-Identifier: GPL-2.0-or-later
SUMMARY = "tmem-guestd: reports that dom0 parses, permissions, quota, pressure, guest mode, save and restore"
LIMIT_S = 600
HOST_MIB = 1728
DOM0_MIB = 900
ORDER = 20
GATE = False
MIN_KIB, MAX_KIB = 150000, 190000
SETTINGS = {"MIN_KIB": MIN_KIB, "MAX_KIB": MAX_KIB}


def check(result):
    # Without any module of ours in the guest.
    yield result.equal("first.psi", 1)
    yield result.at_least("first.total_bytes", 100 << 20)
    yield result.at_least("first.reserve_bytes", 1 << 20)
    yield result.at_most("first.reserve_bytes", 64 << 20)
    # Calm: heartbeats, and less than 0.1 % of this slow machine's CPU.
    yield result.at_least("calm.reports", 3)
    yield result.at_most("calm.reports", 8)
    yield result.at_most("calm.cpu_us_per_s", 1000)
    # Other guests see nothing and change nothing.
    yield result.at_least("other.read_status", 1)
    yield result.at_least("other.write_status", 1)
    # A quota that is used up is outlived, and said.
    yield result.at_least("quota.filled", 500)
    yield result.equal("quota.said", 1)
    yield result.equal("quota.alive", 1)
    yield result.equal("quota.said_again", 1)
    # The kernel's trigger.
    yield result.at_least("pressure.urgent", 1)
    # Guest mode: within bounds, then dom0's again.
    yield result.at_least("guest_mode.least_kib", MIN_KIB)
    yield result.at_most("guest_mode.most_kib", MAX_KIB)
    yield result.at_most("guest_mode.least_kib", MAX_KIB - 8192)
    yield result.equal("handed_back.kib", MAX_KIB)
    # Another domain, the same agent.
    yield result.at_least("restored.reports", 1)
