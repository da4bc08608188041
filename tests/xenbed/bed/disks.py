# SPDX-License-Identifier: GPL-2.0-or-later
"""Disk images, made without mounting anything. Sparse, kept in the cache by what they hold."""
import hashlib
import os
import shutil

from .common import CACHE, BedError, run

FORMAT = 2  # a change makes all images anew
UUID = "11111111-2222-3333-4444-555555555555"


def image(disk, programs):
    """The path of a scenario.Disk's image."""
    digest = hashlib.sha256(f"{FORMAT} {disk}".encode())
    if disk.fileset:
        digest.update(programs["fileset"].read_bytes())
    folder = CACHE / "disks"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{disk.kind}-{disk.size_mib}-{digest.hexdigest()[:12]}.img"
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            make(disk, unfinished, programs)
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return path


def make(disk, path, programs):
    with open(path, "wb") as file:
        file.truncate(disk.size_mib << 20)
    if disk.kind == "swap":
        run(["mkswap", "-q", path], "mkswap")
    elif disk.kind == "xfs":
        run(["mkfs.xfs", "-q", "-f", path], "mkfs.xfs")
    elif disk.kind == "ext4":
        make_ext4(disk, path, programs)
    elif disk.kind != "empty":
        raise BedError(f"no disk of kind {disk.kind}")


def make_ext4(disk, path, programs):
    """The same layout each time; tables are written now, not by the guest in the background. Blocks
    of a page, as on any real disk: small ones would get blocks of 1 KiB, which are hardly cached."""
    command = ["mke2fs", "-q", "-t", "ext4", "-F", "-b", "4096", "-U", UUID, "-E",
               f"root_owner=0:0,hash_seed={UUID},lazy_itable_init=0,lazy_journal_init=0"]
    content = path.with_suffix(".content")
    try:
        if disk.fileset:
            content.mkdir()
            run([programs["fileset"], "create", content, *disk.fileset], "making a file set")
            command += ["-d", content]
        run([*command, path], "mke2fs")
    finally:
        shutil.rmtree(content, ignore_errors=True)
