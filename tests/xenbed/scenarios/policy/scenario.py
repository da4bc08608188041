# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "memory scheduling: guests with opposite phases, a static split beside it, room for a third"
LIMIT_S = 1200
OWN_BOOT = True
HOST_MIB = 884
DOM0_MIB = 448
ORDER = 90
GATE = False
# SPARE_KIB: what every guest keeps, so no surplus (policy/need.cc). SPLIT_MIB: half of what there is for
# guests, but for 44 MiB that are left to the pool.
SETTINGS = {"HEAD_MIB": 24, "START_MIB": 144, "MAX_MIB": 256, "PROGRAM_MIB": 72, "WORK_S": 12, "PHASES": 5,
            "SPARE_KIB": 24 << 10, "SPLIT_MIB": 176, "FILES_MIB": 112, "THIRD_MIB": 128}
LONG = {"LIMIT_S": 3600, "SETTINGS": {"PHASES": 30, "WORK_S": 40}}
DISKS = (Disk("policy-files1", 160, "ext4", ("--mib", "112", "--seed", "71")),
         Disk("policy-files2", 96, "ext4", ("--mib", "64", "--seed", "72")),
         Disk("policy-swap1", 128, "swap"), Disk("policy-swap2", 128, "swap"))
GUESTS = ("g1", "g2")


def check_phases(result):
    phases = range(1, result.settings["PHASES"] + 1)
    for number in phases:
        yield result.at_least(f"phase{number}.surplus_kib", 24 << 10)
        yield result.at_most(f"phase{number}.reached_ms", 15000)
        yield result.at_least(f"phase{number}.gave_kib", 24 << 10)
        yield result.at_most(f"phase{number}.returned_ms", 60000)
        yield result.equal(f"phase{number}.wrong", 0)
        yield result.equal(f"phase{number}.lost", 0)
    for figure in ("reached", "returned"):
        times = [result[f"phase{n}.{figure}_ms"] for n in phases]
        result.counts[f"{figure}_ms_most"] = "never" if "never" in times else max(times)
    for guest in GUESTS:
        yield result.equal(f"end.{guest}.vm_oom_kill", 0)
        yield result.equal(f"end.{guest}.swap_writes_disk", 0)
        yield result.equal(f"end.{guest}.complaints", 0)
        for kind in ("some", "full"):
            result.counts[f"{guest}.{kind}_ms"] = round(
                (result[f"end.{guest}.{kind}_us"] - result[f"begin.{guest}.{kind}_us"]) / 1000)


def compare_with_static(result):
    """A run of the program with the memory divided, and the mean of those with the memory scheduled."""
    runs = [f"phase{number}" for number in range(1, result.settings["PHASES"] + 1)]
    for kind in ("some", "full"):
        def stalled_ms(run):
            return (result[f"{run}.{kind}_us"] - result[f"{run}.{kind}_us_before"]) / 1000
        result.counts[f"scheduled.{kind}_ms"] = round(sum(map(stalled_ms, runs)) / len(runs))
        result.counts[f"split.{kind}_ms"] = round(stalled_ms("static"))
    yield result.at_most("scheduled.some_ms", result["split.some_ms"])


def check(result):
    yield from check_phases(result)
    yield from compare_with_static(result)
    yield result.equal("static.wrong", 0)
    for guest in GUESTS:
        yield result.equal(f"third_end.{guest}.vm_oom_kill", 0)
    yield result.equal("third.started_without_room", 0)
    yield result.equal("third.started", 1)
    yield result.at_least("third.guests_gave_mib", 16)
    yield result.at_least("third.pool_gave_mib", 4)
