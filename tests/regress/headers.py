#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every header compiles alone: as C++20, and those that guests and C programs include as C11 too.

A header that is the first #include of a source file is proved by the build. The compiler is that of
$CXX, or g++.
"""
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

from lint import Case, main, project_files, text_of

AS_C = ("libtmem/include/",)
# The headers of tests belong to one or two programs each, which compile them anyway.
NOT_CXX = ("guest-kmod/", "tests/")
PACKAGES = ("spdlog", "fmt", "ncursesw", "libsystemd")


def package_flags():
    flags = []
    for package in PACKAGES:
        found = subprocess.run(["pkg-config", "--cflags", package], capture_output=True, text=True,
                               check=False)
        flags += found.stdout.split()
    return flags


FIRST_INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.MULTILINE)


def proved_by_the_build(root, files):
    """Headers that come first in a C++ source."""
    proved = set()
    for path in files:
        found = FIRST_INCLUDE.search(text_of(root, path) or "") if path.suffix == ".cc" else None
        if found:
            proved.add(found[1])
    return proved


def compile_alone(root, header, language, flags):
    command = [os.environ.get("CXX", "g++"), "-x", language, "-fsyntax-only", "-Wall", "-Wextra",
               "-Werror", "-I", str(root), "-I", str(root / "libtmem/include"), *flags,
               "-include", str(root / header), "/dev/null"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    reason = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
    return f"{header} does not compile alone as {language}: {reason}"


def check(root):
    files = project_files(root)
    headers = [p.as_posix() for p in files if p.suffix in (".h", ".hpp")]
    proved = proved_by_the_build(root, files)
    cxx = ["-std=c++20", *package_flags()]
    jobs = [(root, h, "c++", cxx) for h in headers
            if not h.startswith(NOT_CXX) and h not in proved]
    jobs += [(root, h, "c", ["-std=c11", "-pedantic"]) for h in headers
             if h.startswith(AS_C) and h.endswith(".h")]
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        return [c for c in pool.map(lambda job: compile_alone(*job), jobs) if c]


CASES = [
    Case("headers that stand alone", {"tmemd/a.h": "#include <cstdint>\ninline uint8_t a;\n",
                                      "libtmem/include/tmem/a.h": "enum a { A };\n"}),
    Case("a header that a source proves", {"tmemd/a.h": "std::vector<int> f();\n",
                                           "tmemd/a.cc": '#include "tmemd/a.h"\n'}),
    Case("a header that comes second", {
        "tmemd/a.h": "std::vector<int> f();\n",
        "tmemd/a.cc": '#include <vector>\n#include "tmemd/a.h"\n'}, ("tmemd/a.h",)),
    Case("a missing include", {"tmemd/a.h": "std::vector<int> f();\n"}, ("tmemd/a.h",)),
    Case("C++ in a C header", {"libtmem/include/tmem/a.h": "#include <cstdint>\nclass a {};\n"},
         ("alone as c:",)),
    Case("a GNU extension in a C header",
         {"libtmem/include/tmem/a.h": "struct a { int n; struct { int b[0]; } c; };\n"},
         ("alone as c:",)),
]

if __name__ == "__main__":
    main(check, CASES)
