#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds and tests tmem: a line per stage, then a summary. Started by tools/check.

Exit status 0: everything passed. The last line is "N passed, N failed": the ctests of all stages,
where a stage that could not build, or a lint that complains, counts as one failed.
Logs: build/check/<stage>.log. The output of a failed stage is shown.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from check_targets import targets_of_tests

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "check"
TAIL_LINES = 80


@dataclass
class Preset:
    """A build directory and the tests that are run in it."""
    name: str
    include_label: str = ""
    exclude_label: str = ""
    fixed_addresses: bool = False  # ThreadSanitizer of g++ 12 cannot cope with much ASLR


@dataclass
class Outcome:
    passed: int = 0
    failed: int = 0
    skipped: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    outputs: dict = field(default_factory=dict)  # what failed tests printed, by name
    notes: list = field(default_factory=list)


# A test labelled release-only is run in the release build alone: lints, and tests whose size
# makes no sense under a sanitizer.
PRESETS = {p.name: p for p in (
    Preset("release"),
    Preset("asan-ubsan", exclude_label="^(release-only|fuzz)$"),
    Preset("tsan", include_label="^concurrent$", exclude_label="^release-only$",
           fixed_addresses=True),
    Preset("fuzz", include_label="^fuzz$"),
)}
STAGES = ["format", *PRESETS, "xenbed"]


class Progress:
    """Shows that a long command lives: in place on a terminal, else a line every 20 seconds."""

    def __init__(self, stage):
        self.stage = stage
        self.live = sys.stderr.isatty()
        self.last = time.monotonic()

    def show(self, text):
        now = time.monotonic()
        if now - self.last < (0.2 if self.live else 20):
            return
        self.last = now
        line = f"  {self.stage}: {text}"
        if self.live:
            sys.stderr.write("\r" + line[:100].ljust(100))
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def clear(self):
        if self.live:
            sys.stderr.write("\r" + " " * 100 + "\r")
            sys.stderr.flush()


def run_logged(command, log, progress, env=None):
    """Runs `command`, its output to `log`; counters of ninja and ctest, and lines of the Xen bed,
    become progress."""
    counter = re.compile(r"^\s*\[?(\d+/\d+)\]? (.*)|^xenbed +([\d.]+ s) +(.*)")
    log.write(f"$ {' '.join(map(str, command))}\n")
    log.flush()
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace",
                          env={**os.environ, **(env or {})}) as process:
        for line in process.stdout:
            log.write(line)
            found = counter.match(line)
            if found:
                progress.show(f"{found[1] or found[3]} {(found[2] or found[4]).strip()}")
    log.flush()
    return process.returncode


def read_junit(path, outcome):
    """Adds up the test results that ctest wrote. A test that could not be started has failed."""
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = case.get("name")
        skipped = case.find("skipped")
        reason = skipped.get("message", "") if skipped is not None else ""
        if skipped is not None and reason.startswith("SKIP_"):
            outcome.skipped.append(name)
        elif case.get("status") == "run":
            outcome.passed += 1
        elif case.get("status") != "disabled":
            outcome.failed += 1
            outcome.failures.append(name)
            outcome.outputs[name] = case.findtext("system-out", default="")


def runs_without_aslr():
    """The prefix that fixes addresses, if this machine lets us (a container may not)."""
    prefix = ["setarch", os.uname().machine, "-R"]
    if not shutil.which("setarch"):
        return []
    probe = subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False)
    return prefix if probe.returncode == 0 else []


def check_preset(preset, options, log, progress):
    """Configures, builds what the chosen tests need, runs them."""
    outcome = Outcome()
    build = ROOT / "build" / preset.name
    chosen = []
    if preset.include_label:
        chosen += ["-L", preset.include_label]
    if preset.exclude_label:
        chosen += ["-LE", preset.exclude_label]

    def broken(what):
        outcome.failed += 1
        outcome.failures.append(what)
        return outcome

    if run_logged(["cmake", "--preset", preset.name, "-DTMEM_UNITY=ON"], log, progress) != 0:
        return broken(f"cmake --preset {preset.name}")
    command = ["cmake", "--build", str(build), "-j", str(options.jobs)]
    if chosen:
        targets = targets_of_tests(build, chosen)
        if not targets:
            return broken(f"no test matches {' '.join(chosen)}")
        command += ["--target", *targets]
    start = time.monotonic()
    if run_logged(command, log, progress) != 0:
        return broken(f"build of {preset.name}")
    outcome.notes.append(f"built in {time.monotonic() - start:.0f} s")

    junit = LOGS / f"{preset.name}.xml"
    junit.unlink(missing_ok=True)
    command = ["ctest", "--preset", preset.name, *chosen, "-j", str(options.jobs),
               "--output-on-failure", "--output-junit", str(junit)]
    if preset.fixed_addresses:
        command = runs_without_aslr() + command
    status = run_logged(command, log, progress)
    if not junit.exists():
        return broken(f"ctest of {preset.name}")
    read_junit(junit, outcome)
    if outcome.passed + outcome.failed == 0 or (status != 0 and outcome.failed == 0):
        return broken(f"ctest of {preset.name} ended with {status}")
    return outcome


def tracked_files(*suffixes):
    """The project's own files, also where there is no git."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True,
                             check=False)
    if listing.returncode == 0 and listing.stdout:
        names = listing.stdout.split("\0")
    else:
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file()]
        names = [n for n in names if not n.startswith(("build/", ".git/"))]
    return sorted(n for n in names if n.endswith(suffixes) and (ROOT / n).exists())


def check_format(_preset, _options, log, progress):
    """clang-format over the C++ files; C is laid out in the kernel's style."""
    outcome = Outcome()
    files = [f for f in tracked_files(".cc", ".h", ".hpp")
             if not f.startswith(("guest-kmod/", "tests/kmod/", "tests/xenbed/hostile/"))
             and not (f.startswith("libtmem/include/") and f.endswith(".h"))]
    if run_logged(["clang-format", "--dry-run", "-Werror", "--ferror-limit=20", *files], log, progress) != 0:
        outcome.failed, outcome.failures = 1, ["clang-format: run clang-format -i on these files"]
    outcome.notes.append(f"{len(files)} files")
    return outcome


def check_tidy(_preset, options, log, progress):
    """clang-tidy with the release build's flags, over all sources or those that changed."""
    outcome = Outcome()
    files = tracked_files(".cc")
    if options.tidy == "changed":
        base = subprocess.run(["git", "merge-base", "HEAD", "origin/main"], cwd=ROOT, text=True,
                              capture_output=True, check=False).stdout.strip() or "HEAD~1"
        diff = subprocess.run(["git", "diff", "--name-only", base], cwd=ROOT, text=True,
                              capture_output=True, check=False).stdout.split()
        files = [f for f in files if f in set(diff)]
    build = ROOT / "build" / "release"
    if run_logged(["cmake", "--preset", "release", "-DTMEM_UNITY=OFF"], log, progress) != 0:
        outcome.failed, outcome.failures = 1, ["cmake --preset release"]
        return outcome
    database = (build / "compile_commands.json").read_text()
    files = [f for f in files if str(ROOT / f) in database]
    outcome.notes.append(f"{len(files)} files")
    if files:
        worker = ["xargs", "-0", "-n", "1", "-P", str(options.jobs), "clang-tidy", "--quiet", "-p",
                  str(build)]
        done = subprocess.run(worker, cwd=ROOT, input="\0".join(files), text=True, check=False,
                              stdout=log, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            outcome.failed, outcome.failures = 1, ["clang-tidy"]
    return outcome


def check_xenbed(_preset, _options, log, progress):
    """Scenarios on real Xen in QEMU, as many as fit into some minutes; each counts as a test."""
    outcome = Outcome()
    report = LOGS / "xenbed.json"
    report.unlink(missing_ok=True)
    status = run_logged([ROOT / "tests/xenbed/run", "--gate", "--json", report], log, progress)
    results = []
    if report.exists():
        results = [json.loads(line) for line in report.read_text().splitlines()]
    for result in results:
        outcome.passed += result["passed"]
        outcome.failed += not result["passed"]
        outcome.failures += [] if result["passed"] else [result["scenario"]]
    if not results or (status != 0 and outcome.failed == 0):
        outcome.failed += 1
        outcome.failures.append(f"tests/xenbed/run ended with {status}")
    return outcome


def show_failure(name, path, outcome):
    outputs = outcome.outputs or {str(path.relative_to(ROOT)): path.read_text(errors="replace")}
    for what, output in outputs.items():
        print(f"---- {name} failed; the end of {what}:")
        print("\n".join(output.splitlines()[-TAIL_LINES:]))
    print(f"---- failed in {name}: {', '.join(outcome.failures)}", flush=True)


def cpu_seconds():
    """Of all children so far: on a busy machine it says more than the wall clock."""
    return os.times().children_user + os.times().children_system


def run_stage(name, options):
    path = LOGS / f"{name}.log"
    progress = Progress(name)
    work = {"format": check_format, "tidy": check_tidy,
            "xenbed": check_xenbed}.get(name, check_preset)
    start, cpu_start = time.monotonic(), cpu_seconds()
    with open(path, "w", encoding="utf-8", errors="replace") as log:
        outcome = work(PRESETS.get(name), options, log, progress)
    progress.clear()
    seconds, cpu = time.monotonic() - start, cpu_seconds() - cpu_start
    verdict = "FAILED" if outcome.failed else "ok"
    counts = f"{outcome.passed:4} passed {outcome.failed:3} failed"
    counts += f" {len(outcome.skipped):3} skipped" if outcome.skipped else ""
    print(f"{name:12} {verdict:6} {seconds:5.0f} s (CPU {cpu:5.0f} s) {counts}  {'; '.join(outcome.notes)}",
          flush=True)
    if outcome.skipped:
        print(f"{'':12} skipped: {', '.join(outcome.skipped)}", flush=True)
    if outcome.failed:
        show_failure(name, path, outcome)
    return outcome


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/check", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="format and the release build only")
    parser.add_argument("--stage", nargs="+", choices=[*STAGES, "tidy"], metavar="NAME",
                        help=f"only these: {', '.join([*STAGES, 'tidy'])}")
    parser.add_argument("--tidy", choices=["all", "changed"], nargs="?", const="changed",
                        help="also clang-tidy, over the files changed since origin/main, or all")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 2)
    return parser.parse_args()


def main():
    options = parse_arguments()
    stages = options.stage or (["format", "release"] if options.quick else list(STAGES))
    if options.tidy and "tidy" not in stages:
        stages.append("tidy")
    options.tidy = options.tidy or "all"
    LOGS.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    outcomes = [run_stage(name, options) for name in stages]
    failed = sum(o.failed for o in outcomes)
    print(f"tools/check: {'FAILED' if failed else 'all good'} after "
          f"{time.monotonic() - start:.0f} s; logs in {LOGS.relative_to(ROOT)}/")
    print(f"{sum(o.passed for o in outcomes)} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
