#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may include whom: main -> daemon -> {control, transport -> store, policy} -> libtmem/base.

Only `#include` lines count. A folder without a rule is a complaint, so that a new one gets a rule.
"""
import os
import re

from lint import Case, is_cxx, main, project_files, text_of

BASE = "libtmem/base/"
WIRE = "libtmem/include/"
STORE = "tmemd/store/"
ABI = "libtmem/include/tmem/abi.h"

# The longest matching prefix of a file's path decides; the values are prefixes of what it may
# include of ours. Every folder may include itself.
RULES = {
    "libtmem/include/": (),
    # C++ headers for our own programs, beside the C ones for everybody.
    "libtmem/include/tmem/control.hpp": (BASE,),
    "libtmem/include/tmem/text.hpp": (BASE,),
    "libtmem/base/": (ABI, "libtmem/include/tmem/loopback.h"),
    "libtmem/": (BASE, WIRE, "libtmem/src/"),
    "libtmem/examples/": (WIRE,),
    "tmemd/store/": ("tmemd/memory/slot_provider.h", BASE),
    "tmemd/memory/": (BASE,),
    "tmemd/transport/": (STORE, "policy/write_back.h", BASE, WIRE),
    "tmemd/fallow/": (STORE, "tmemd/memory/", BASE),
    "tmemd/arbiter/": (STORE, "policy/", "tmemd/transport/xen/platform.h",
                       "tmemd/transport/xen/nodes.h", "tmemd/transport/thread_signals.h", BASE, WIRE),
    "tmemd/control/": (STORE, "tmemd/fallow/head_room.h", "tmemd/arbiter/settings.h",
                       "policy/strategy.h", BASE, WIRE),
    "tmemd/": ("tmemd/", "policy/", BASE, WIRE),
    "policy/": (BASE,),
    "tools/": ("libtmem/",),
    # The laws of the daemon and of the agent are what the lab simulates.
    "tools/lab/": ("libtmem/", "policy/", "tools/tmem-guestd/shrink_law.h"),
    "guest-kmod/": (ABI,),
    "tests/": ("libtmem/", "tmemd/", "policy/", "tools/"),
    "tests/kmod/": ("guest-kmod/", WIRE),
}
XEN_HEADER = re.compile(r"^(xen/|xen\w*\.h$|xs\.h$|libxl)")
# The guest's modules include the kernel's.
XEN_PLACES = re.compile(
    r"^(tmemd/(transport|memory)/xen/|guest-kmod/|tests/xenbed/(dom0|hostile)/)")
# Where guest-kmod/Kbuild lets the compiler look.
KBUILD = ("guest-kmod/", "guest-kmod/core/")
KERNEL = ("guest-kmod/", "tests/kmod/")
# The store and the policy know no operating system, thread, clock or log.
PURE = ("tmemd/store/", "policy/")
IMPURE = re.compile(r"^(sys/|unistd\.h|fcntl\.h|pthread\.h|thread$|chrono$|ctime$|time\.h|spdlog/|"
                    r"systemd/|iostream$|cstdio$|random$)")
# Arrays that commit their memory at first touch: a calloc, no more. And a yield while another thread
# of the caller's ends its slice of work.
IMPURE_ALLOWED = {("tmemd/store/lazy_array.h", "sys/mman.h"), ("tmemd/store/admin.cc", "thread")}
ABI_MAY = {"stdint.h", "linux/types.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def resolve(root, source, name):
    """The project file that an #include of `source` means, or None for a system header."""
    beside = os.path.normpath(os.path.join(os.path.dirname(source), name))
    kbuild = [folder + name for folder in KBUILD] if source.startswith(KERNEL) else []
    for candidate in (name, WIRE + name, beside, *kbuild):
        if (root / candidate).is_file():
            return candidate
    return None


def rule_of(source):
    matches = [prefix for prefix in RULES if source.startswith(prefix)]
    return max(matches, key=len) if matches else None


def complaints_of(root, source, quoted, name):
    rule = rule_of(source)
    target = resolve(root, source, name)
    if target is None:
        if quoted:
            yield f'{source}: "{name}" is no file of the project'
        if XEN_HEADER.match(name) and not XEN_PLACES.match(source):
            yield f"{source}: Xen header <{name}> outside transport/xen and memory/xen"
        if (source.startswith(PURE) and IMPURE.match(name)
                and (source, name) not in IMPURE_ALLOWED):
            yield f"{source}: <{name}>: no system, thread, clock or log here"
        if source == ABI and name not in ABI_MAY:
            yield f"{source}: <{name}>: the wire ABI includes only {', '.join(sorted(ABI_MAY))}"
    elif source == ABI or not target.startswith((rule, *RULES[rule])):
        yield f"{source}: must not include {target}"


def check(root):
    complaints = []
    for path in project_files(root):
        source = path.as_posix()
        if not is_cxx(path):
            continue
        if rule_of(source) is None:
            complaints.append(f"{source}: its folder has no rule in tests/regress/arrows.py")
            continue
        for quoted, angled in INCLUDE.findall(text_of(root, path) or ""):
            complaints += complaints_of(root, source, bool(quoted), quoted or angled)
    return complaints


FILES = {"tmemd/store/store.h": "", "tmemd/memory/slot_provider.h": "", "tmemd/memory/memfd.h": "",
         "tmemd/transport/ring.h": "", "libtmem/base/units.h": "", "tmemd/daemon.h": "",
         "libtmem/include/tmem/tmem.h": "", "policy/plan.h": "", ABI: "#include <stdint.h>\n"}


def tree(path, *includes):
    return {**FILES, path: "".join(f"#include {i}\n" for i in includes)}


CASES = [
    Case("a clean tree", FILES),
    Case("what is allowed", {
        **tree("tmemd/store/a.cc", '"tmemd/memory/slot_provider.h"', '"libtmem/base/units.h"',
               "<vector>", '"store.h"'),
        **tree("tmemd/transport/xen/a.cc", "<xenctrl.h>", '"tmemd/store/store.h"', '"tmem/abi.h"'),
        **tree("tmemd/memory/xen/a.cc", "<xenctrl.h>", '"tmemd/memory/slot_provider.h"'),
        **tree("guest-kmod/swap/a.c", '"core.h"', "<xen/events.h>"), "guest-kmod/core/core.h": "",
        **tree("tmemd/main.cc", '"tmemd/transport/ring.h"', '"policy/plan.h"', "<chrono>"),
        **tree("tests/a.cc", '"tmemd/store/store.h"')}),
    Case("the store sees an implementation of memory",
         tree("tmemd/store/a.cc", '"tmemd/memory/memfd.h"'), ("memfd.h",)),
    Case("the store sees the ring", tree("tmemd/store/a.cc", '"tmemd/transport/ring.h"'),
         ("ring.h",)),
    Case("the store sees the wire", tree("tmemd/store/a.cc", '"tmem/abi.h"'), ("abi.h",)),
    Case("the store starts a thread and reads a clock",
         tree("tmemd/store/a.cc", "<thread>", "<chrono>"), ("<thread>", "<chrono>")),
    Case("memory sees the store", tree("tmemd/memory/a.cc", '"tmemd/store/store.h"'),
         ("store.h",)),
    Case("transport sees the daemon", tree("tmemd/transport/a.cc", '"tmemd/daemon.h"'),
         ("daemon.h",)),
    Case("control sees the transport", tree("tmemd/control/a.cc", '"tmemd/transport/ring.h"'),
         ("ring.h",)),
    Case("policy sees the store, relatively", tree("policy/a.cc", '"../tmemd/store/store.h"'),
         ("store.h",)),
    Case("the C library's header sees C++", tree("libtmem/include/tmem/tmem.h",
                                                 '"libtmem/base/units.h"'), ("units.h",)),
    Case("base sees the library", tree("libtmem/base/a.h", '"tmem/tmem.h"'), ("tmem.h",)),
    Case("base sees the daemon", tree("libtmem/base/a.h", '"tmemd/daemon.h"'), ("daemon.h",)),
    Case("a tool goes round libtmem", tree("tools/lab/a.cc", '"tmemd/store/store.h"'),
         ("store.h",)),
    Case("Xen in the store", tree("tmemd/store/a.cc", "<xenctrl.h>"), ("Xen header",)),
    Case("Xen in the daemon", tree("tmemd/a.cc", "<xen/xen.h>"), ("Xen header",)),
    Case("Xen in other memory", tree("tmemd/memory/a.cc", "<xenctrl.h>"), ("Xen header",)),
    Case("the pool domain sees the transport",
         tree("tmemd/memory/xen/a.cc", '"tmemd/transport/ring.h"'), ("ring.h",)),
    Case("the ABI includes libc", tree(ABI, "<stdint.h>", "<string.h>"), ("string.h",)),
    Case("the ABI includes ours", tree(ABI, '"tmem/tmem.h"'), ("tmem.h",)),
    Case("a misspelt include", tree("tmemd/a.cc", '"tmemd/gone.h"'), ("no file",)),
    Case("a folder nobody knows", tree("extra/a.cc"), ("no rule",)),
]

if __name__ == "__main__":
    main(check, CASES)
