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


@contextlib.contextmanager
def step(name):
    start = time.monotonic()
    yield
    STEPS[name] = STEPS.get(name, 0.0) + time.monotonic() - start
    say(f"{name}: {time.monotonic() - start:.1f} s")


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
