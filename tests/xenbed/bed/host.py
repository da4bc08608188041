# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated host's two initramfs images: dom0's, which holds the guests' as a file."""
import contextlib
import fcntl
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import build, packages
from .common import BED, CACHE, ROOT, run, step
from .image import XEN_BIN, XENSTORE, Root

# Loaded by init, in its order, or by a scenario with modprobe.
DOM0_MODULES = ("virtio_ring", "virtio", "virtio_pci", "virtio_console", "virtio_blk", "xen-evtchn",
                "xen-gntdev", "xen-gntalloc", "xen-privcmd", "xenfs", "xen-blkback")
GUEST_MODULES = ("xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-privcmd", "xenfs",
                 "xen-blkfront", "ext4", "crc32c_generic", "xfs", "dm-mod", "zsmalloc", "zram",
                 "lz4")
XEN_PROGRAMS = ("xl", "xenstored", "xenconsoled", "xen-init-dom0", "libxl-save-helper", "lsevtchn",
                "xenstore-control", "xen-diag", "xentrace")


@dataclass
class Images:
    xen: Path
    kernel: Path
    dom0: Path


@contextlib.contextmanager
def cache_lock():
    """One run at a time changes the cache; running machines do not need it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def copy_scenarios(root, script):
    """Each scenario's scripts, one of which is `script`, at /bed/scenarios/NAME."""
    for path in (BED / "scenarios").glob("*/*.sh"):
        if path.name == script or path.name.startswith(Path(script).stem):
            root.copy(path, f"bed/scenarios/{path.parent.name}/{path.name}", 0o755)


def make_guest(path, image, programs, modules, overlay):
    root = Root(path)
    root.programs(*XENSTORE, "sbin/dmsetup")
    root.copy(BED / "guest/init", "init", 0o755)
    root.copy(BED / "guest/lib.sh", "bed/lib.sh")
    for name, program in programs.items():
        root.copy(program, f"bed/{name}", 0o755)
        run(["strip", root.path / "bed" / name], "strip")
    copy_scenarios(root, "guest.sh")
    if overlay:
        root.overlay(overlay)
    root.modules(GUEST_MODULES, modules)
    root.libraries()
    root.pack(image)


def make_dom0(path, image, guest_image, programs, overlay, scripts):
    root = Root(path)
    root.programs(*XENSTORE, *(f"{XEN_BIN}/{name}" for name in XEN_PROGRAMS), "usr/bin/jq",
                  "sbin/e2fsck", "sbin/xfs_repair", "usr/bin/xenalyze")
    for name in XEN_PROGRAMS:
        (root.path / "usr/sbin" / name).symlink_to(f"/{XEN_BIN}/{name}")
    root.copy(packages.TREE / "etc/xen/xl.conf", "etc/xen/xl.conf")
    root.copy(BED / "dom0/init", "init", 0o755)
    root.copy(BED / "dom0/block", "etc/xen/scripts/block", 0o755)
    for name in ("lib.sh", "run-scenario"):
        root.copy(BED / "dom0" / name, f"bed/{name}", 0o755)
    for program in programs:
        root.copy(program, f"usr/bin/{program.name}", 0o755)
        run(["strip", "--strip-debug", root.path / "usr/bin" / program.name], "strip")
    root.copy(ROOT / "tools/tmem-xl", "usr/bin/tmem-xl", 0o755)
    copy_scenarios(root, "dom0.sh")
    for name, text in scripts.items():
        target = root.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    if overlay:
        root.overlay(overlay)
    root.copy(packages.CACHE / "vmlinux", "bed/vmlinux")
    root.copy(guest_image, "bed/guest.img")
    root.modules(DOM0_MODULES)
    root.libraries(programs)
    root.pack(image)


def prepare(options, scripts, folder):
    """Everything up to the boot: returns the images and the paths of the guests' programs.
    `scripts`: {path in dom0: text} of scenarios that exist for this run only."""
    with cache_lock():
        with step("packages"):
            packages.fetch(options.refresh)
        with step("build of tmemd and programs"):
            dom0_programs, guest_programs = build.programs(options.build, options.prebuilt)
        with step("build of the guest modules"):
            modules = [] if options.without_kmod else build.modules(options.kmod)
    with step("images"), tempfile.TemporaryDirectory(dir=folder) as work:
        guest_image = Path(work) / "guest.img"
        make_guest(Path(work) / "guest", guest_image, guest_programs, modules,
                   options.guest_overlay)
        dom0_image = Path(folder) / "dom0.img"
        make_dom0(Path(work) / "dom0", dom0_image, guest_image, dom0_programs,
                  options.dom0_overlay, scripts)
    return Images(CACHE / "xen", CACHE / "vmlinux", dom0_image), guest_programs


def remove_old_runs(keep=8):
    """Folders of earlier runs: logs for people."""
    runs = sorted((CACHE / "runs").glob("*"), key=lambda p: p.stat().st_mtime)
    for path in runs[:-keep]:
        shutil.rmtree(path, ignore_errors=True)


DEFAULT_BUILD = ROOT / "build" / "release"
