# SPDX-License-Identifier: GPL-2.0-or-later
SUMMARY = "the pool domain's life: a killed tmemd, xl destroy, xl shutdown -a, an orderly stop"
LIMIT_S = 600
OWN_BOOT = True
HOST_MIB = 960
DOM0_MIB = 448
ORDER = 55
GATE = False
SETTINGS = {"PAGES": 2000}


def check(result):
    pages = result.settings["PAGES"]
    yield result.equal("stored.written", pages)
    # A crash keeps the domain and its memory; the next tmemd finds both, and uses the memory.
    yield result.equal("killed.pool_domains", 1)
    yield result.at_least("killed.pool_mib", pages // 256)
    yield result.same("restarted.pool_domain", "first.pool_domain")
    yield result.equal("restarted.found", 1)
    yield result.equal("lost_by_kill.lost", pages)
    # Destroyed by hand: another domain, the same process; pages of the old one are errors.
    yield result.equal("destroyed.same_tmemd", 1)
    yield result.equal("destroyed.another_domain", 1)
    yield result.equal("destroyed.said", 1)
    yield result.equal("destroyed.zombies", 0)
    yield result.equal("lost_by_destroy.lost", pages)
    for name in ("lost_by_kill", "lost_by_destroy"):
        for what in ("zero", "old", "wrong", "intact"):
            yield result.equal(f"{name}.{what}", 0)
    for name in ("again", "at_last"):
        yield result.equal(f"{name}.intact", pages)
    # The toolstack is not kept waiting.
    yield result.equal("shutdown_one.status", 0)
    yield result.at_most("shutdown_one.ms", 20000)
    yield result.equal("shutdown_all.status", 0)
    yield result.at_most("shutdown_all.ms", 60000)
    yield result.equal("shutdown_all.guests", 0)
    yield result.equal("list_long.status", 0)
    yield result.equal("pool_domains_at_the_end", 0)
    yield result.same("end.free_pages", "start.free_pages")
    yield result.equal("mismatch.status", 1)
    yield result.equal("mismatch.said", 1)
    yield result.equal("mismatch.fallback", 1)
