# SPDX-License-Identifier: GPL-2.0-or-later
"""What of this project runs in the bed: tmemd and tmem, the test programs, the guest modules."""
import hashlib
import os
import shutil
from pathlib import Path

from .common import BED, CACHE, ROOT, BedError, run
from .packages import kernel_headers, kernel_version

DOM0_PROGRAMS = ("tmemd", "tmem")
DOM0_TESTS = {"xenbed_ask": "ask", "xenmem": "xenmem", "wrong_xen": "wrong_xen.so",
              "parse_report": "parse_report"}  # target: file
GUEST_PROGRAMS = ("tmem-guestd",)  # what ships, beside the test programs
KMOD = ROOT / "guest-kmod"
HOSTILE = BED / "hostile"


def programs(folder, prebuilt):
    """Paths of dom0's programs and of the guests', up to date unless they are `prebuilt`."""
    folder = Path(folder).absolute()
    guest = sorted(p.stem for p in (BED / "guest").glob("*.c"))
    dom0 = [folder / "bin" / name for name in DOM0_PROGRAMS]
    dom0 += [folder / "tests" / "xenbed" / name for name in DOM0_TESTS.values()]
    found = {name: folder / "tests" / "xenbed" / name for name in guest}
    found |= {name: folder / "bin" / name for name in GUEST_PROGRAMS}
    if prebuilt:
        missing = [str(p) for p in (*dom0, *found.values()) if not p.exists()]
        if missing:
            raise BedError(f"not built: {', '.join(missing)}")
        return dom0, found
    if not (folder / "build.ninja").exists():
        run(["cmake", "--preset", "release", "-B", folder], "cmake", cwd=ROOT)
    targets = [*DOM0_PROGRAMS, *DOM0_TESTS, *GUEST_PROGRAMS, *(f"xenbed_{name}" for name in guest)]
    jobs = str(os.cpu_count() or 2)
    run(["cmake", "--build", folder, "-j", jobs, "--target", *targets], "building tmemd",
        timeout=1800)
    return dom0, found


def sources_below(folder):
    return sorted(p for p in folder.rglob("*")
                  if p.is_file() and (p.suffix in (".c", ".h", ".S") or p.name in ("Makefile", "Kbuild")))


def built_modules(source, what, command, variables=()):
    """The modules of a folder of this tree, built by `command(folder)` for the bed's kernel.

    Built in the cache, in a folder named after sources, kernel and make variables: the tree stays
    clean, and only a change builds anew.
    """
    digest = hashlib.sha256(f"{kernel_version()} {sorted(variables)}".encode())
    files = sources_below(source) + sorted((ROOT / "libtmem/include/tmem").glob("*.h"))
    for path in files:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    folder = CACHE / "kmod" / digest.hexdigest()[:16]
    done = folder / "done"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        for path in files:
            copy = folder / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        run([*command(folder), *variables, "modules"], f"building {what}")
        done.touch()
    built = sorted((folder / source.relative_to(ROOT)).rglob("*.ko"))
    if not built:
        raise BedError(f"{what} were built, but there is no module")
    return built


def modules(variables=()):
    """The guest modules and the hostile one."""
    def make_guest(folder):
        return ["make", "-s", "-j", str(os.cpu_count() or 2), "-C", folder / "guest-kmod",
                f"KDIR={kernel_headers()}"]

    def make_hostile(folder):
        return ["make", "-s", "-C", kernel_headers(), f"M={folder / HOSTILE.relative_to(ROOT)}",
                f"KCPPFLAGS=-I{folder / 'libtmem/include'}"]

    return (built_modules(KMOD, "the guest modules", make_guest, variables)
            + built_modules(HOSTILE, "the hostile modules", make_hostile))
