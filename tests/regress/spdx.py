#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each source file names the licence of its folder in an SPDX line, in its first three lines."""
import re

from lint import Case, is_cxx, is_script, main, project_files, text_of

MIT_FILES = ("libtmem/include/tmem/abi.h", "libtmem/include/tmem/loopback.h")
TAG = "SPDX-License-" + "Identifier:"
LINE = re.compile(re.escape(TAG) + r"\s*(\S+)")


def licence_of(source):
    if source in MIT_FILES:
        return "MIT"
    if source.startswith("libtmem/"):
        return "LGPL-2.1-or-later"
    if source.startswith("guest-kmod/"):
        return "GPL-2.0-only"
    return "GPL-2.0-or-later"


def check(root):
    complaints = []
    for path in project_files(root):
        source = path.as_posix()
        if not (is_cxx(path) or path.name == "CMakeLists.txt" or path.suffix == ".cmake"
                or is_script(root, path)):
            continue
        head = "\n".join((text_of(root, path) or "").splitlines()[:3])
        found = LINE.search(head)
        if not found:
            complaints.append(f"{source}: no {TAG} {licence_of(source)} in its first lines")
        elif found[1] != licence_of(source):
            complaints.append(f"{source}: says {found[1]}, its folder is {licence_of(source)}")
    return complaints


def tagged(licence):
    return f"// {TAG} {licence}\n"


CASES = [
    Case("right licences", {
        "libtmem/include/tmem/abi.h": f"/* {TAG} MIT */\n",
        "libtmem/src/a.cc": tagged("LGPL-2.1-or-later"), "tmemd/a.cc": tagged("GPL-2.0-or-later"),
        "tools/x": f"#!/bin/sh\n# {TAG} GPL-2.0-or-later\n", "README.md": "text", "docs/a": "text"}),
    Case("no line", {"tmemd/a.cc": "int a;\n"}, ("no SPDX",)),
    Case("no line in a script", {"tools/x": "#!/bin/sh\n"}, ("no SPDX",)),
    Case("too far down", {"tmemd/a.cc": "\n\n\n\n" + tagged("GPL-2.0-or-later")}, ("no SPDX",)),
    Case("GPL in the library", {"libtmem/src/a.cc": tagged("GPL-2.0-or-later")}, ("LGPL",)),
    Case("GPL in the ABI", {"libtmem/include/tmem/abi.h": tagged("GPL-2.0-or-later")}, ("MIT",)),
    Case("CMake too", {"CMakeLists.txt": "project(x)\n"}, ("no SPDX",)),
]

if __name__ == "__main__":
    main(check, CASES)
