# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages of the host and its guests: downloaded once and unpacked, never installed.

A manifest names the files of the cache. While they are all there nothing is asked of the network,
so kernel, headers and modules always belong together; --refresh makes a new manifest.
"""
import hashlib
import json
import lzma
import os
import re
import shlex
import shutil
import subprocess
import time
import zlib

from .common import CACHE, BedError, run, say

XEN = "4.17"
PACKAGES = f"""
  xen-hypervisor-{XEN}-amd64 xen-utils-{XEN} xen-utils-common xenstore-utils
  libxenmisc{XEN} libxentoollog1 libxenstore4 libxengnttab1 libxenevtchn1 libxenforeignmemory1
  libxencall1 libxendevicemodel1 libxentoolcore1 libxenhypfs1 libyajl2 libnl-route-3-200
  libnl-3-200 libuuid1 libblkid1 libext2fs2 libcom-err2 libss2 zlib1g libzstd1 liblzma5 libbz2-1.0
  liblzo2-2 liblz4-1 libxxhash0 libc6 libgcc-s1 libstdc++6 libncurses6 libncursesw6 libtinfo6
  libfmt9 libspdlog1.10 libsystemd0 libcap2 libgcrypt20 libgpg-error0 busybox-static
  e2fsprogs xfsprogs libedit2 libinih1 liburcu8 libicu72 libbsd0 libmd0
  jq libjq1 libonig5
  dmsetup libdevmapper1.02.1 libselinux1 libudev1 libpcre2-8-0
""".split()
TRIES = 3
FORMAT = 1  # of the unpacked tree; a change unpacks anew

DEBS = CACHE / "debs"
TREE = CACHE / "tree"
MANIFEST = CACHE / "manifest.json"


def apt(*words):
    """Root would have apt's own user write into the cache, which it may not."""
    options = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    return [*words[:1], *options, "-o", "Acquire::Retries=3", *words[1:]]


def kernel_packages():
    """Image, headers and build tools of one and the same kernel."""
    depends = run(["apt-cache", "depends", "linux-image-amd64"], "asking apt for the kernel")
    found = re.search(r"Depends: linux-image-((\d+\.\d+)\.\d+-\d+)-amd64", depends)
    if not found:
        raise BedError("apt knows no linux-image-amd64. This needs Debian 12 with package lists: "
                       "run apt-get update")
    version, series = found[1], found[2]
    return [f"linux-image-{version}-amd64", f"linux-headers-{version}-amd64",
            f"linux-headers-{version}-common", f"linux-kbuild-{series}"]


def resolve():
    """The manifest of what apt would download now: {"files": [name...], "packages": [...]}."""
    packages = sorted(set(PACKAGES + kernel_packages()))
    listing = run(apt("apt-get", "download", "--print-uris", *packages), "asking apt for packages")
    files = [shlex.split(line)[1] for line in listing.splitlines() if line.startswith("'")]
    if len(files) != len(packages):
        raise BedError(f"apt offers {len(files)} of {len(packages)} packages; run apt-get update")
    return {"packages": packages, "files": sorted(files), "format": FORMAT}


def download(packages):
    """Into DEBS. A stale package list answers 404: then, as root, the lists are updated once."""
    DEBS.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, TRIES + 1):
        say(f"downloading {len(packages)} packages (attempt {attempt})")
        done = subprocess.run(apt("apt-get", "-q", "download", *packages), cwd=DEBS, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=900,
                              check=False)
        if done.returncode == 0:
            return
        if os.geteuid() == 0 and attempt == 1:
            subprocess.run(["apt-get", "-q", "update"], stdin=subprocess.DEVNULL, timeout=600,
                           capture_output=True, check=False)
        time.sleep(3 * attempt)
    errors = "\n".join(done.stderr.splitlines()[-8:])
    raise BedError(f"the download failed {TRIES} times. Check the network, run apt-get update, "
                   f"try again; what is in {DEBS} already is kept.\n{errors}")


def fetch_manifest(refresh):
    """A manifest whose files are all in the cache."""
    if not refresh and MANIFEST.exists():
        manifest = json.loads(MANIFEST.read_text())
        wanted = set(PACKAGES) <= set(manifest["packages"]) and manifest.get("format") == FORMAT
        if wanted and all((DEBS / name).exists() for name in manifest["files"]):
            return manifest
    manifest = resolve()
    missing = [p for p in manifest["packages"]
               if not any((DEBS / f).exists() for f in manifest["files"]
                          if f.split("_")[0] == p)]
    if missing:
        download(missing)
    gone = [f for f in manifest["files"] if not (DEBS / f).exists()]
    if gone:
        # The lists moved on during the download: once more, all of what they name now.
        manifest = resolve()
        download(manifest["packages"])
    gone = [f for f in manifest["files"] if not (DEBS / f).exists()]
    if gone:
        raise BedError(f"apt did not deliver {', '.join(gone)}")
    MANIFEST.write_text(json.dumps(manifest, indent=1))
    return manifest


def payload_of(image):
    """The ELF kernel inside a bzImage (boot protocol 2.08 or later). Xen's builder takes either,
    but decompression takes seconds in an emulated guest."""
    data = image.read_bytes()
    if data[0x202:0x206] != b"HdrS":
        raise BedError(f"{image} is no Linux kernel")
    setup_sectors = data[0x1f1] or 4
    offset, length = (int.from_bytes(data[at:at + 4], "little") for at in (0x248, 0x24c))
    packed = data[(setup_sectors + 1) * 512 + offset:][:length]
    if packed[:6] == b"\xfd7zXZ\0":
        kernel = lzma.LZMADecompressor().decompress(packed)
    elif packed[:2] == b"\x1f\x8b":
        kernel = zlib.decompressobj(31).decompress(packed)
    elif packed[:4] == b"\x28\xb5\x2f\xfd":
        kernel = subprocess.run(["zstd", "-dcq"], input=packed[:-4], capture_output=True,
                                check=True).stdout
    else:
        raise BedError(f"{image}: unknown compression {packed[:6].hex()}")
    if kernel[:4] != b"\x7fELF":
        raise BedError(f"{image} holds no ELF kernel")
    return kernel


def unpack(manifest):
    """TREE from the packages; a stamp inside says of which."""
    stamp = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    mark = CACHE / "tree.stamp"
    if mark.exists() and mark.read_text() == stamp:
        return
    mark.unlink(missing_ok=True)
    if TREE.exists():
        shutil.rmtree(TREE)
    TREE.mkdir(parents=True)
    for name in manifest["files"]:
        try:
            run(["dpkg-deb", "-x", DEBS / name, TREE], f"unpacking {name}")
        except BedError as error:
            (DEBS / name).unlink()  # a damaged file: the next run fetches it again
            raise BedError(f"{error}\nIt was removed from the cache; try again.") from error
    version = kernel_version()
    (CACHE / "xen").write_bytes(zlib.decompressobj(31).decompress(
        (TREE / "boot" / f"xen-{XEN}-amd64.gz").read_bytes()))
    (CACHE / "vmlinux").write_bytes(payload_of(TREE / "boot" / f"vmlinuz-{version}"))
    # The only absolute path of the headers.
    headers = kernel_headers()
    common = headers.with_name(headers.name.replace("-amd64", "-common"))
    (headers / "Makefile").unlink()
    (headers / "Makefile").write_text(f"include {common}/Makefile\n")
    run(["depmod", "-b", TREE, version], "depmod")
    mark.write_text(stamp)


def kernel_version():
    return next((TREE / "lib" / "modules").iterdir()).name


def kernel_headers():
    return TREE / "usr" / "src" / f"linux-headers-{kernel_version()}"


def fetch(refresh):
    """Makes the cache whole. The caller holds its lock."""
    unpack(fetch_manifest(refresh))
