# SPDX-License-Identifier: GPL-2.0-or-later
"""Contents of this machine's files as the page cache would hold them: a file's last page is filled up
with zeroes. And incompressible pages: random, and what compressors and packagers made."""
import bz2
import glob
import lzma
import os
import random as random_module
import shutil
import subprocess
import zlib

from .pages import PAGE, CorpusError, sample

PACKED = (".gz", ".xz", ".zst", ".bz2", ".zip", ".jar", ".jmod", ".png", ".jpg", ".jpeg", ".deb",
          ".whl", ".woff2", ".webp", ".tgz")
SOURCE = (".h", ".hpp", ".c", ".cc", ".py", ".js", ".pl", ".pm", ".json", ".rst", ".txt", ".ipp",
          ".S", ".sh")
# Kind of file: its share of the page cache, where it is found, which suffixes count.
KINDS = {
    "binaries": (0.40, ("/usr/bin", "/usr/sbin", "/usr/lib/*-linux-gnu", "/usr/lib/gcc",
                        "/usr/libexec", "/usr/lib/jvm"), None),
    "sources": (0.35, ("/usr/include", "/usr/lib/python3*", "/usr/share/perl*", "/usr/lib/node_modules",
                       "/usr/src", "/usr/share/perl5"), SOURCE),
    "data": (0.15, ("/usr/share/locale", "/usr/share/zoneinfo", "/usr/share/i18n", "/var/lib/dpkg",
                    "/etc", "/usr/lib/locale", "/usr/lib/*-linux-gnu/gconv"), None),
    "documents": (0.10, ("/usr/share/doc", "/usr/share/man", "/usr/share/info"), "any"),
}


def find(patterns, suffixes):
    """Regular files below the patterns, sorted. `suffixes`: a tuple, "any", or None = nothing packed."""
    found = set()
    for pattern in patterns:
        for top in glob.glob(pattern):
            for folder, _, names in os.walk(top):
                for name in names:
                    path = os.path.join(folder, name)
                    packed = name.endswith(PACKED)
                    if os.path.islink(path) or (suffixes is None and packed):
                        continue
                    if isinstance(suffixes, tuple) and not name.endswith(suffixes):
                        continue
                    found.add(path)
    return sorted(found)


def pages_of(random, paths, count, run_max=128):
    """At most `count` pages of the files in random order, at most `run_max` neighbours of each."""
    paths = list(paths)
    random.shuffle(paths)
    pages = []
    for path in paths:
        if len(pages) >= count:
            break
        try:
            if not os.path.isfile(path):
                continue
            spare = os.path.getsize(path) // PAGE - run_max
            with open(path, "rb") as file:
                file.seek(random.randrange(spare) * PAGE if spare > 0 else 0)
                data = file.read(run_max * PAGE)
        except OSError:
            continue
        pages += [data[i:i + PAGE].ljust(PAGE, b"\0") for i in range(0, len(data), PAGE)]
    return pages[:count]


def find_kinds():
    return {kind: find(places, suffixes) for kind, (_, places, suffixes) in KINDS.items()}


def page_cache(random, paths, count):
    """{kind: pages} in the shares of KINDS; binaries make up for kinds that have too few."""
    parts = {kind: pages_of(random, paths[kind], int(count * KINDS[kind][0])) for kind in KINDS}
    short = count - sum(map(len, parts.values()))
    parts["binaries"] += pages_of(random_module.Random(random.random()), paths["binaries"], short, 64)
    short = count - sum(map(len, parts.values()))
    if short > 0:
        raise CorpusError(f"this machine's files are {short} pages short: ask for fewer with --pages")
    return parts


def split(data):
    return [data[i:i + PAGE] for i in range(0, len(data) - PAGE + 1, PAGE)]


def encrypted(data):
    """AES-CTR by the openssl program, or nothing without it."""
    if not shutil.which("openssl"):
        return b""
    command = ["openssl", "enc", "-aes-256-ctr", "-pass", "pass:corpus", "-pbkdf2"]
    return subprocess.run(command, input=data, capture_output=True, check=False).stdout


def incompressible(random, count):
    """{kind: pages}: a quarter each of random and packed files, the rest compressed or encrypted text."""
    text = b"".join(pages_of(random, find(("/usr/include", "/usr/lib/python3*"), SOURCE), count * 3))
    eighth = count // 8
    parts = {
        "packed files": pages_of(random, find(("/usr/lib", "/usr/share", "/var/cache/apt/archives"),
                                              PACKED), count // 4, 512),
        "aes-ctr": split(encrypted(text[:eighth * PAGE])),
        "zlib": split(zlib.compress(text, 1))[:eighth],
        "bz2": split(bz2.compress(text[:eighth * PAGE * 6], 1))[:eighth],
        "xz": split(lzma.compress(text[:eighth * PAGE * 6], preset=0))[:eighth],
    }
    parts["random"] = [random.randbytes(PAGE) for _ in range(count - sum(map(len, parts.values())))]
    return {kind: sample(random, pages, count) for kind, pages in parts.items()}
