#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The experiment with a real tmemd, twice: equal results, honest memory, nothing left behind.

usage: lab_run_test.py TMEM_LAB
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

NAMES = ["unchanged", "self-ballooning", "tmem", "tmem+dedup", "tmem+dedup+compression"]
LIMIT_S = 300  # of a machine that is busy with other things


def command(lab, folder, *more):
    return [lab, "lpc2010", "--files", "generated", "--scale", "16", "--rounds", "1", "--seed", "3",
            "--overlap", "80", "--json", f"{folder}/out.json", "--svg", f"{folder}/out.svg", *more]


def run(lab, base):
    with tempfile.TemporaryDirectory(dir=base) as folder:
        done = subprocess.run(command(lab, folder), env={**os.environ, "TMPDIR": base},
                              capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == 0, done.stderr
        with open(f"{folder}/out.json") as file:
            text = file.read()
        xml.etree.ElementTree.parse(f"{folder}/out.svg")
    return text, done.stdout


def check_results(text, output):
    result = json.loads(text)
    configs = result["configs"]
    assert [c["name"] for c in configs] == NAMES, configs
    assert len({c["host_memory_bytes"] for c in configs}) == 1
    for config in configs:
        assert config["sectors_read"] > 0 and config["wall_s"] > 0 and config["vcpu_s"] > 0
        details = config["details"]
        assert details["pages_compared"] == config["hits"], config
        pool = details["at_apparent_peak"]
        assert pool["real_bytes"] <= pool["budget_bytes"], config
    for config in configs[:2]:
        assert config["hits"] == 0 and config["real_bytes_peak"] == 0
    for config in configs[2:]:
        assert config["hits"] > 0 and config["apparent_bytes_peak"] > 0
        assert config["sectors_read"] < configs[1]["sectors_read"], config
    contents = [c["details"]["at_apparent_peak"] for c in configs]
    assert contents[2]["compressed_contents"] == 0 and contents[3]["compressed_contents"] == 0
    assert contents[4]["compressed_contents"] > 0
    assert "SIMULATED" in output and result["manifest_hash"] in output


def check_interrupt(lab, base):
    """Ctrl-C ends the run, its daemon and its directory."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command(lab, folder, "--rounds", "8"),
                                   env={**os.environ, "TMPDIR": base},
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + LIMIT_S
        while not os.listdir(base) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert os.listdir(base), f"the daemon never started: {process.stderr.read()}"
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=LIMIT_S)[1]
        assert process.returncode == 130, (process.returncode, errors)


def check_errors(lab):
    for arguments, status in ((["lpc2010", "--overlap", "101"], 2), ([], 2),
                              (["lpc2010", "--files", "/nonexistent"], 1),
                              (["lpc2010", "--files", "generated", "--scale", "16",
                                "--tmemd", "/nonexistent"], 1)):
        done = subprocess.run([lab, *arguments], capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == status, (arguments, done)
        assert done.stderr.strip(), arguments


def main():
    lab = sys.argv[1]
    with tempfile.TemporaryDirectory() as base:
        first, output = run(lab, base)
        check_results(first, output)
        second, _ = run(lab, base)
        assert first == second, "two runs with one seed differ"
        assert os.listdir(base) == [], "something was left behind"
        check_errors(lab)
        check_interrupt(lab, base)
        assert os.listdir(base) == [], "something was left behind"


if __name__ == "__main__":
    main()
