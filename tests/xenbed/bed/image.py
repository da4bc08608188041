# SPDX-License-Identifier: GPL-2.0-or-later
"""Root file systems of dom0 and the guests: a folder made from the unpacked packages, packed as an
initramfs. Everything a program needs comes along: its shared libraries, its modules."""
import gzip
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

from .common import BedError, run
from .packages import TREE, XEN, kernel_version

LIBRARIES = "usr/lib/x86_64-linux-gnu"  # a built-in default of ld.so, so no cache is needed
FOLDERS = ("bin", "sbin", "usr/bin", "usr/sbin", "lib64", LIBRARIES, "proc", "sys", "dev", "run",
           "tmp", "etc", "root", "mnt", "bed", "var/log/xen", "var/lib/xen", "etc/xen/scripts",
           "lib/modules")
XENSTORE = [f"usr/bin/xenstore-{verb}"
            for verb in ("read", "write", "ls", "rm", "watch", "exists", "list", "chmod")]
XEN_BIN = f"usr/lib/xen-{XEN}/bin"


class Root:
    """A root file system being made at `path` (a new folder)."""

    def __init__(self, path):
        self.path = Path(path)
        for folder in FOLDERS:
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        (self.path / "var/run").symlink_to("../run")
        self.copy(TREE / "bin/busybox", "bin/busybox")
        for applet in run([TREE / "bin/busybox", "--list"], "busybox").split():
            if not (self.path / "bin" / applet).exists():
                (self.path / "bin" / applet).symlink_to("busybox")

    def copy(self, source, target, mode=None):
        """One file; links are followed."""
        target = self.path / target
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
        target.chmod(mode or stat.S_IMODE(os.stat(source).st_mode) | 0o444)

    def programs(self, *names):
        """Files of the packages, at their own place; /bin's busybox twins give way."""
        for name in names:
            source = TREE / name
            if not source.exists():
                raise BedError(f"no package holds {name}")
            self.copy(source, name)
            twin = self.path / "bin" / source.name
            if twin.is_symlink():
                twin.unlink()

    def overlay(self, folder):
        """Files of whoever runs the bed, over everything else."""
        if not Path(folder).is_dir():
            raise BedError(f"overlay {folder} is no folder")
        run(["cp", "-a", f"{folder}/.", self.path], f"overlay {folder}")

    def modules(self, names, extra=()):
        """Modules of the kernel by name, with what they depend on, and files of our own; modprobe
        finds them all."""
        version = kernel_version()
        base = TREE / "lib/modules" / version
        target = Path("lib/modules") / version
        depends = {}
        for line in (base / "modules.dep").read_text().splitlines():
            file, _, needs = line.partition(":")
            depends[Path(file).stem.replace("-", "_")] = [file, *needs.split()]
        for name in names:
            if name.replace("-", "_") not in depends:
                raise BedError(f"the kernel has no module {name}")
            for file in depends[name.replace("-", "_")]:
                self.copy(base / file, target / file)
        for file in extra:
            copy = target / "updates" / Path(file).name
            self.copy(file, copy)
            run(["strip", "--strip-debug", self.path / copy], "strip")
        for file in ("modules.builtin", "modules.order"):
            self.copy(base / file, target / file)
        run(["depmod", "-b", self.path, version], "depmod")

    def libraries(self, host_programs=()):
        """The shared libraries that the root's programs need, from the packages; those that only
        `host_programs` (built on this machine) need, from this machine."""
        host = host_libraries(host_programs)
        self.copy(TREE / "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
                  "lib64/ld-linux-x86-64.so.2", 0o755)
        self.copy(TREE / "lib/x86_64-linux-gnu/libgcc_s.so.1",  # dlopened by pthread_cancel
                  f"{LIBRARIES}/libgcc_s.so.1")
        fresh = [p for p in self.path.rglob("*")
                 if p.is_file() and not p.is_symlink() and p.suffix != ".ko" and is_elf(p)]
        while fresh:
            missing = [n for n in needed(fresh) if not (self.path / LIBRARIES / n).exists()]
            fresh = []
            for name in missing:
                source = library_of_packages(name) or host.get(name)
                if not source:
                    raise BedError(f"no package of the bed holds {name}")
                self.copy(source, f"{LIBRARIES}/{name}", 0o755)
                fresh.append(self.path / LIBRARIES / name)

    def pack(self, target):
        with gzip.open(target, "wb", compresslevel=1) as archive:
            write_cpio(self.path, archive)


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def needed(paths):
    """Names of the libraries that ELF files ask for."""
    listing = run(["objdump", "-p", *paths], "objdump")
    return set(re.findall(r"^\s*NEEDED\s+(\S+)", listing, re.MULTILINE)) - {"ld-linux-x86-64.so.2"}


def library_of_packages(name):
    for folder in (LIBRARIES, "lib/x86_64-linux-gnu", f"usr/lib/xen-{XEN}/lib"):
        if (TREE / folder / name).exists():
            return TREE / folder / name
    return None


def host_libraries(programs):
    """{name: path} of what this machine's linker would load."""
    found = {}
    for program in programs:
        listing = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
        found.update(re.findall(r"(\S+) => (/\S+)", listing.stdout))
    return found


def write_cpio(root, out):
    """A `newc` archive of a folder, owned by root, in a fixed order."""
    entries = sorted(root.rglob("*"))
    for inode, path in enumerate(entries, 1):
        info = path.lstat()
        data = b""
        if stat.S_ISLNK(info.st_mode):
            data = os.readlink(path).encode()
        elif stat.S_ISREG(info.st_mode):
            data = path.read_bytes()
        elif not stat.S_ISDIR(info.st_mode):
            continue
        write_entry(out, inode, info.st_mode, str(path.relative_to(root)), data)
    write_entry(out, 0, 0, "TRAILER!!!", b"")


def write_entry(out, inode, mode, name, data):
    name = name.encode() + b"\0"
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08x" % f for f in fields) + name
    out.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))
