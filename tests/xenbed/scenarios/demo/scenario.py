# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "tools/demo --xen: two guests without tmem, with its memory as plain RAM, and with tmem"
LIMIT_S = 900
HOST_MIB = 1024
DOM0_MIB = 448
ORDER = 200
GATE = False
SETTINGS = {"POOL_MIB": 24, "GUEST_MIB": 112, "PROGRAM_MIB": 22, "FILES_MIB": 12}
FILES = ("--mib", "12", "--seed", "9")
DISKS = (Disk("demo-files1", 48, "ext4", FILES), Disk("demo-files2", 48, "ext4", FILES),
         Disk("demo-swap1", 64, "swap"), Disk("demo-swap2", 64, "swap"))

GUESTS = ("g1", "g2")
RUNS = {"off": "tmem off", "ram": "more RAM", "on": "tmem on"}
LIST = "tmem list: "  # what dom0.sh puts before the lines of it
SECTORS = ("files_read", "files_written", "swap_read", "swap_written")


def check(result):
    for run in RUNS:
        for guest in GUESTS:
            for load in ("start", "read", "program"):
                yield result.equal(f"{run}.{guest}.{load}.wrong", 0)
            for load in ("start", "read"):
                yield result.equal(f"{run}.{guest}.{load}.failed", 0)
            yield result.equal(f"{run}.{guest}.program.lost", 0)
            yield result.equal(f"{run}.{guest}.end.complaints", 0)
        result.counts[f"{run}.mib"] = sum(
            result[f"{run}.{name}.mib"] for name in ("0", *GUESTS))
        for way in ("read", "written"):
            result.counts[f"{run}.{way}"] = sum(
                result[f"{run}.{guest}.end.{disk}_{way}"]
                for guest in GUESTS for disk in ("files", "swap"))
        yield result.same(f"{run}.mib", "off.mib")
    # Without pressure there would be nothing to show.
    for way in ("read", "written"):
        yield result.at_least(f"off.{way}", 8 * 2048)
        yield result.at_most(f"on.{way}", result[f"off.{way}"] * 0.7)


def table_row(name, cells):
    return f"  {name:34}" + "".join(f"{cell:>12}" for cell in cells)


def show(result):
    def row(name, key):
        return table_row(name, (f"{result[f'{run}.{key}']:,}" for run in RUNS))

    def against_off(way):
        return table_row("  against tmem off", (
            f"{result[f'{run}.{way}'] / result[f'off.{way}'] - 1:+.0%}" for run in RUNS))

    pool = result.settings["POOL_MIB"]
    lines = ["", table_row("", RUNS.values()), "memory of the host, MiB", row("domain 0", "0.mib"),
             table_row("  of it for the pool", (f"{pool}, idle", "-", pool))]
    lines += [row(f"guest {guest}", f"{guest}.mib") for guest in GUESTS]
    lines += [row("together", "mib"), "disk sectors of 512 bytes"]
    for guest in GUESTS:
        for key in SECTORS:
            lines.append(row(f"{guest}: {key.replace('_', ', ')}", f"{guest}.end.{key}"))
    for way in ("read", "written"):
        lines += [row(f"together: {way}", way), against_off(way)]
    listing = [line.removeprefix(LIST) for line in result.log if line.startswith(LIST)]
    lines += ["", "`tmem list` in domain 0, in the middle of the last run:", *listing, "",
              "Every byte was verified. The host is emulated: trust the counts, not its times."]
    return "\n".join(lines)
