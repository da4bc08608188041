# SPDX-License-Identifier: GPL-2.0-or-later
"""Anonymous memory of real processes that are started for it, stopped, read and killed.

Reads /proc/PID/mem of our own children: as root, or where the system lets a parent trace its
children (kernel.yama.ptrace_scope 0 or 1).
"""
import contextlib
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

from .pages import PAGE, CorpusError

WORKLOADS = Path(__file__).resolve().parent / "workloads"
PATIENCE_S = 120
MIB = 1 << 20
PRESENT, FILE_OR_SHARED = 1 << 63, 1 << 61  # of a pagemap entry
MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r..p \S+ \S+ \d+\s*(.*)")


def present_runs(pagemap, first, count):
    """(page number, length) of runs of at most 256 present private pages."""
    pagemap.seek(first * 8)
    data = pagemap.read(count * 8)
    entries = struct.unpack(f"<{len(data) // 8}Q", data)
    start = None
    for i, entry in enumerate((*entries, 0)):
        wanted = entry & PRESENT and not entry & FILE_OR_SHARED
        if wanted and start is None:
            start = i
        elif start is not None and (not wanted or i - start == 256):
            yield first + start, i - start
            start = i if wanted else None


def anonymous_pages(pid):
    """All present private pages of `pid` that belong to no file, in the order of addresses."""
    pages = []
    maps = Path(f"/proc/{pid}/maps").read_text()
    with open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps.splitlines():
            found = MAPPING.match(line)
            if not found or found[3].startswith("[v"):
                continue
            first, last = int(found[1], 16) // PAGE, int(found[2], 16) // PAGE
            for page, length in present_runs(pagemap, first, last - first):
                with contextlib.suppress(OSError):
                    mem.seek(page * PAGE)
                    data = mem.read(length * PAGE)
                    pages += [data[i:i + PAGE] for i in range(0, len(data) - PAGE + 1, PAGE)]
    return pages


def resident_bytes(pid):
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def family(pid):
    """`pid` and its descendants."""
    pids = [pid]
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                pids += family(int(child))
    return pids


def wait_until_grown(process, want_bytes, says_ready):
    """Returns the pid of the family's biggest member once it has grown, said so, or ended."""
    deadline = time.monotonic() + PATIENCE_S
    biggest = process.pid
    while time.monotonic() < deadline and process.poll() is None:
        biggest = max(family(process.pid), key=resident_bytes)
        if says_ready:
            if select.select([process.stdout], [], [], 0.02)[0]:
                break
        elif resident_bytes(biggest) >= want_bytes:
            break
        else:
            time.sleep(0.01)
    return biggest


def snapshot(name, command, want_bytes, says_ready, scratch):
    """Starts `command`, waits, reads its anonymous pages, kills all of it."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=scratch,
                                   stdout=subprocess.PIPE if says_ready else subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        raise CorpusError(f"cannot start {name}: {error}") from error
    try:
        biggest = wait_until_grown(process, want_bytes, says_ready)
        os.kill(biggest, signal.SIGSTOP)
        return anonymous_pages(biggest)
    except PermissionError as error:
        raise CorpusError(
            f"may not read the memory of {name}: {error}. Run as root, or set "
            "kernel.yama.ptrace_scope to 1 or 0, or use --synthetic.") from error
    except OSError:
        return []  # it ended before it could be read; others make up for it
    finally:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()


def commands(seed, want_bytes):
    """{name: (argv, whether it prints a line when it is ready)} of what this machine has."""
    mib = max(16, want_bytes // MIB)
    made = {}
    if shutil.which("python3"):
        made["python3"] = (["python3", WORKLOADS / "load.py", seed, mib], True)
    if shutil.which("perl"):
        made["perl"] = (["perl", WORKLOADS / "load.pl", seed, mib], True)
    if shutil.which("g++"):
        made["g++"] = (["g++", "-std=c++20", "-O1", "-g", f"-DSEED={seed % 97}", "-S", "-o",
                        "/dev/null", WORKLOADS / "load.cc"], False)
    if shutil.which("node"):
        made["node"] = (["node", WORKLOADS / "load.js", seed, mib], True)
    if shutil.which("java"):
        made["java"] = (["java", "-XX:+UseSerialGC", f"-Xmx{mib * 3 + 64}m",
                         WORKLOADS / "Load.java", seed, mib], True)
    return {name: ([str(word) for word in argv], ready) for name, (argv, ready) in made.items()}


def memory_of_processes(seed, pages_wanted, scratch, say):
    """{program: its anonymous pages}; each has grown to hold about its share, and then some."""
    available = commands(seed, 0)
    if not available:
        raise CorpusError("none of python3, perl, g++, node, java is here: use --synthetic")
    want_bytes = pages_wanted * PAGE * 2 // len(available)
    sources = {}
    for name, (argv, says_ready) in commands(seed, want_bytes).items():
        sources[name] = snapshot(name, argv, max(want_bytes, 32 * MIB), says_ready, scratch)
        say(f"{name}: {len(sources[name])} anonymous pages")
    return sources
