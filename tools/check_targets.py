# SPDX-License-Identifier: GPL-2.0-or-later
"""Which build targets a selection of ctests needs, so that a sanitizer build builds no more.

A test's command line and environment name files in the build directory; those that ninja makes
are its targets. A test that names the directory of the programs needs all programs.
"""
import json
import re
import subprocess

QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
ADD_TEST = re.compile(r'^(?:add_test|set_tests_properties)\((?:\[=*\[(.*?)\]=*\]|"?([^\s")]+)"?)\s')


def selected_tests(build, selection):
    listing = subprocess.run(["ctest", "--test-dir", str(build), "--show-only=json-v1", *selection],
                             capture_output=True, text=True, check=True)
    return {test["name"] for test in json.loads(listing.stdout).get("tests", [])}


def words_of_tests(build):
    """{test name: strings of its command line and properties}. ctest's own listing leaves out the
    command of a program that is not built yet, so its input is read."""
    words = {}
    for path in build.rglob("CTestTestfile.cmake"):
        for line in path.read_text().splitlines():
            found = ADD_TEST.match(line)
            if found:
                words.setdefault(found[1] or found[2], []).extend(QUOTED.findall(line))
    return words


def buildable(build):
    """Outputs of linking, relative to the build directory, and phony names."""
    listing = subprocess.run(["ninja", "-C", str(build), "-t", "targets", "all"],
                             capture_output=True, text=True, check=True)
    return {line.split(":")[0] for line in listing.stdout.splitlines()}


def targets_of_tests(build, selection):
    outputs = buildable(build)
    words = words_of_tests(build)
    targets = set()
    for name in selected_tests(build, selection):
        for word in words.get(name, []):
            for part in re.split(r"[;=:,]", word):
                if not part.startswith(f"{build}"):
                    continue
                relative = part[len(str(build)):].strip("/")
                if relative in outputs and relative:
                    targets.add(relative)
                elif relative in ("", "bin", "tests"):
                    folder = relative or "bin"
                    targets.update(o for o in outputs
                                   if o.startswith(f"{folder}/") and "/" not in o[len(folder) + 1:]
                                   and "." not in o)
    return sorted(targets)
