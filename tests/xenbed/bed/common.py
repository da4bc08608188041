# SPDX-License-Identifier: GPL-2.0-or-later
"""What all parts of the bed share: where things are, errors for people, commands, timed steps."""
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BED = ROOT / "tests" / "xenbed"
CACHE = Path(os.environ.get("TMEM_BED_CACHE") or ROOT / "build" / "xenbed").absolute()
START = time.monotonic()


class BedError(Exception):
    """Something that whoever runs the bed must know or do; its text is all they need."""


def say(text):
    """A line of progress, with the seconds since the start."""
    print(f"xenbed {time.monotonic() - START:6.1f} s  {text}", file=sys.stderr, flush=True)


STEPS = {}  # seconds of each step, for the summary


def cpu_seconds():
    """Of all children so far: what a step costs, whatever else the machine does."""
    times = os.times()
    return times.children_user + times.children_system


@contextlib.contextmanager
def step(name):
    start, cpu_start = time.monotonic(), cpu_seconds()
    yield
    seconds, cpu = time.monotonic() - start, cpu_seconds() - cpu_start
    STEPS[name] = f"{seconds:.1f} s (CPU {cpu:.1f} s)"
    say(f"{name}: {STEPS[name]}")


def run(command, what, **options):
    """Runs a command quietly; when it fails, its output becomes the error's text."""
    options.setdefault("timeout", 900)
    try:
        done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                              check=False, **options)
    except FileNotFoundError as error:
        raise BedError(f"{what}: {error.filename} is missing; run tools/setup") from error
    except subprocess.TimeoutExpired as error:
        raise BedError(f"{what}: not done after {error.timeout} s") from error
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-40:])
        raise BedError(f"{what} failed ({done.returncode}): {' '.join(map(str, command))}\n{tail}")
    return done.stdout
