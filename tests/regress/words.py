#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Words that no file of the project holds: marks of unfinished work, and names of places outside
the project, which has to stand alone."""
import re

from lint import Case, main, project_files, text_of

UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
# Paths of somebody's machine: the work area's root and its sibling folder.
OUTSIDE = re.compile(r"(?<![\w.$})-])/wo" + r"rk(?![\w-])|\.\./sha" + r"red\b")


def check(root):
    complaints = []
    for path in project_files(root):
        for number, line in enumerate((text_of(root, path) or "").splitlines(), 1):
            found = UNFINISHED.search(line)
            if found:
                complaints.append(f"{path}:{number}: {found[0]}: finish it or open an issue")
            found = OUTSIDE.search(line)
            if found:
                complaints.append(f"{path}:{number}: {found[0]} is outside the project")
    return complaints


CASES = [
    Case("innocent", {"a.cc": 'mkstemp("/tmp/a.' + "XX" + 'XXXX"); // src/work.h, /worker\n',
                      "b.md": "to do: nothing"}),
    Case("unfinished", {"a.cc": "// TO" + "DO: later\n"}, ("finish it",)),
    Case("unfinished in a script", {"a.py": "\n# FIX" + "ME\n"}, (":2:",)),
    Case("a path of the work area", {"a.md": "see /wo" + "rk/facts.md"}, ("outside",)),
    Case("a sibling folder", {"CMakeLists.txt": "include(../sha" + "red/x.cmake)"}, ("outside",)),
]

if __name__ == "__main__":
    main(check, CASES)
