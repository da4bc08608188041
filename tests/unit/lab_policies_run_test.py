#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`tmem-lab policies` from its command line: the same seed gives the same results, files are
well-formed, a wrong command line says why.

usage: lab_policies_run_test.py TMEM_LAB
"""
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

LIMIT_S = 120  # of a machine that is busy with other things
FIELDS = {"stall_some", "stall_full", "freed_bytes", "disk_reads", "burst_ms", "starved_s"}


def run(lab, *arguments, status=0):
    done = subprocess.run([lab, "policies", *arguments], capture_output=True, text=True,
                          timeout=LIMIT_S, check=False)
    assert done.returncode == status, (arguments, done.returncode, done.stderr)
    return done


def evaluate(lab, seed, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        done = run(lab, "--seed", str(seed), "--json", f"{folder}/out.json", "--svg",
                   f"{folder}/plots", *arguments)
        for name in ("tradeoff-pool-on.svg", "tradeoff-pool-off.svg"):
            xml.etree.ElementTree.parse(f"{folder}/plots/{name}")
        with open(f"{folder}/out.json") as file:
            return json.load(file), done


def check_rows(lab):
    result, done = evaluate(lab, 3, "--scenario", "bursts,cold-4", "--count", "2")
    rows = result["rows"]
    policies = {row["policy"] for row in rows}
    assert "best-static" in policies
    assert {row["scenario"] for row in rows} == {"bursts-0", "bursts-1", "cold-4"}
    assert len(rows) == len(policies) * 3 * 2
    for row in rows:
        assert FIELDS <= row.keys()
        assert 0 <= row["stall_full"] <= row["stall_some"] <= 1, row
        assert row["starved_s"] <= row["starved_all_s"], row
        assert row["family"] != "cold" or row["burst_ms"] is None, row
    assert any(row["burst_ms"] is not None for row in rows)
    assert "bursts-1" in done.stdout
    assert "3 of 3 scenarios" in done.stderr
    return result


def main(lab):
    result = check_rows(lab)
    assert check_rows(lab) == result, "the same seed gave different results"
    other, _ = evaluate(lab, 4, "--scenario", "bursts,cold-4", "--count", "2", "--threads", "1")
    assert other["rows"] != result["rows"], "another seed gave the same results"
    knobs, _ = evaluate(lab, 3, "--scenario", "cold-0", "--policy", "best-static", "--knobs")
    curve = next(c for c in knobs["tradeoff"] if c["family"] == "cold" and not c["pool"])
    freed = [point["freed_ratio"] for point in curve["points"]]
    assert len(freed) == 7 and freed == sorted(freed) and freed[0] < 0.1 < freed[-1], curve
    assert "no policy nobody" in run(lab, "--policy", "nobody", status=1).stderr
    assert "families are" in run(lab, "--scenario", "nowhere", status=1).stderr
    run(lab, "--seed", "x", status=2)
    run(lab, "--json", "/nonexistent/out.json", "--scenario", "stream-0", "--policy", "best-static",
        status=1)
    missing = subprocess.run([lab, "replay", "/nonexistent"], capture_output=True, text=True,
                             timeout=LIMIT_S, check=False)
    assert missing.returncode == 1 and "cannot read" in missing.stderr, missing


if __name__ == "__main__":
    main(sys.argv[1])
