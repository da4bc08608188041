#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A file holds one idea: reports source files over 300 lines, fails above 600."""
from lint import Case, is_cxx, is_script, main, project_files, text_of

SOFT_LINES = 300
HARD_LINES = 600


def check(root):
    complaints = []
    for path in project_files(root):
        if not (is_cxx(path) or is_script(root, path)):
            continue
        lines = len((text_of(root, path) or "").splitlines())
        if lines > HARD_LINES:
            complaints.append(f"{path}: {lines} lines, more than {HARD_LINES}: split it")
        elif lines > SOFT_LINES:
            print(f"note: {path} has {lines} lines (soft limit {SOFT_LINES})")
    return complaints


CASES = [
    Case("long, but not too long", {"a.cc": "x\n" * HARD_LINES, "long.md": "x\n" * 1000}),
    Case("too long", {"a.cc": "x\n" * (HARD_LINES + 1)}, ("a.cc: 601",)),
    Case("a script too", {"a.py": "x\n" * 900}, ("a.py: 900",)),
]

if __name__ == "__main__":
    main(check, CASES)
