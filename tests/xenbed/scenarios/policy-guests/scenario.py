# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "memory scheduling: guests without agent or module, in guest mode, lying, silent"
LIMIT_S = 1200
OWN_BOOT = True
HOST_MIB = 980
DOM0_MIB = 448
ORDER = 91
GATE = False
SETTINGS = {"HEAD_MIB": 24, "START_MIB": 144, "MAX_MIB": 256, "THIRD_MIB": 128, "LEAST_MIB": 112,
            "PROGRAM_MIB": 52, "COMMIT_MIB": 112, "TWIN_MIB": 96, "LIE_S": 40}
DISKS = (Disk("policy-files1", 160, "ext4", ("--mib", "112", "--seed", "71")),
         Disk("policy-files2", 96, "ext4", ("--mib", "64", "--seed", "72")),
         Disk("policy-swap1", 128, "swap"), Disk("policy-swap2", 128, "swap"))
SLACK_KIB = 4096  # Xen counts some pages that a balloon does not


def check_half_present(result):
    start, third = (result.settings[key] << 10 for key in ("START_MIB", "THIRD_MIB"))
    yield result.equal("module.state", "none")
    yield result.at_least("module.kib", start - SLACK_KIB)
    yield result.at_least("module_pressed.kib", result["module.kib"] + (8 << 10))
    yield result.equal("agent.state", "fresh")
    yield result.at_most("agent.kib", start - SLACK_KIB)
    for name in ("neither", "neither_pressed"):
        yield result.equal(f"{name}.state", "none")
        yield result.at_least(f"{name}.kib", third - SLACK_KIB)


def check_own_balloon(result):
    """Within ten seconds and dom0's bounds."""
    least = result.settings["LEAST_MIB"] << 10
    # The law of docs/guestd.md, on MemTotal; and what the kernel does not count as usable.
    goal = (result["own_commit.commit_kib"] + result["own_commit.reserve_kib"]
            + result["agent_start.total_kib"] // 10)
    unusable = result["own_commit.kib"] - result["own_commit.total_kib"]
    result.counts["own_commit.goal_kib"] = min(goal + unusable, result["own.g1.max_kib"])
    yield result.at_least("own_commit.most_kib", result["own_commit.goal_kib"] - SLACK_KIB)
    yield result.at_least("own_commit.most_kib", result["own_commit.had_kib"] + (16 << 10))
    yield result.at_least("own_pressed.kib", result["own_pressed.had_kib"] + (8 << 10))
    yield result.at_most("own_freed.shrinks_ms", 10000)
    yield result.at_least("own_commit.least_kib", least - SLACK_KIB)
    for node in ("mode", "min_kib", "max_kib"):
        yield result.at_least(f"forbidden.{node}.status", 1)
    for guest, name in (("g1", "own_commit"), ("g2", "own_pressed")):
        yield result.equal(f"{name}.writer", "guest")
        yield result.at_most(f"{name}.kib", result[f"own.{guest}.max_kib"] + SLACK_KIB)


def check_lies(result):
    entitled = (result["all_kib"] - (result.settings["HEAD_MIB"] << 10) - result["neither_pressed.kib"]) // 2
    result.counts["entitled_kib"] = entitled
    result.counts["liar.share"] = round((result["liar.most_kib"] + result["liar.pool_kib"]) / entitled, 3)
    result.counts["twin.share"] = round((result["twin.least_kib"] + result["twin.pool_kib"]) / entitled, 3)
    yield result.equal("liar.state", "fresh")
    yield result.at_most("liar.share", 1.05)
    yield result.at_least("twin.share", 0.95)
    for state in ("absurd", "malformed"):
        yield result.equal(f"{state}.state", state)
        yield result.at_least(f"{state}.{state}", 1)
        yield result.at_least(f"{state}.kib", result["liar.least_kib"] - SLACK_KIB)
    yield result.equal("silent.state", "stale")
    yield result.at_least("still_silent.kib", result["silent.kib"] - SLACK_KIB)


def check(result):
    yield from check_half_present(result)
    yield from check_own_balloon(result)
    yield from check_lies(result)
    for guest in ("g1", "g2"):
        for when in ("own_end", "end"):
            yield result.equal(f"{when}.{guest}.vm_oom_kill", 0)
            yield result.equal(f"{when}.{guest}.complaints", 0)
    for program in ("module", "own_pressed"):
        yield result.equal(f"{program}.wrong", 0)
        yield result.equal(f"{program}.lost", 0)
