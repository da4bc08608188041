# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lints of this folder share: the project's files, and a main that runs a lint or proves
that it can fail.

A lint is a function check(root) -> list of complaints, and a list of Case: small trees with the
complaints they must (or must not) cause. `lint.py ROOT` checks the tree, `--self-test` the lint.
"""
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Case:
    """`files` is {path: text}. `expect`: a part of each expected complaint; empty: none."""
    what: str
    files: dict
    expect: tuple = ()


def project_files(root):
    """Paths relative to `root` of the files under version control, or of all where there is none."""
    listing = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True,
                             text=True, check=False)
    if listing.returncode == 0 and (root / ".git").exists():
        names = [Path(n) for n in listing.stdout.split("\0") if n]
    else:
        names = [p.relative_to(root) for p in root.rglob("*")]
        names = [n for n in names if n.parts[0] not in ("build", ".git")]
    return sorted(n for n in names if (root / n).is_file() and not (root / n).is_symlink())


def is_cxx(path):
    return path.suffix in (".cc", ".h", ".c", ".cpp", ".hpp")


def is_script(root, path):
    if path.suffix in (".py", ".sh"):
        return True
    if path.suffix:
        return False
    with open(root / path, "rb") as file:
        return file.read(2) == b"#!"


def text_of(root, path):
    """The file's text, or None if it is binary."""
    data = (root / path).read_bytes()
    if b"\0" in data:
        return None
    return data.decode(errors="replace")


def self_test(check, cases):
    failures = []
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="tmem-lint.") as folder:
            root = Path(folder)
            for name, text in case.files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            complaints = check(root)
        if len(complaints) != len(case.expect) or not all(
                any(part in c for c in complaints) for part in case.expect):
            failures.append(f"{case.what}: expected {list(case.expect)}, got {complaints}")
    if not any(case.expect for case in cases) or all(case.expect for case in cases):
        failures.append("the cases must hold good and bad trees")
    print(f"{len(cases)} cases")
    return failures


def main(check, cases):
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} ROOT | --self-test")
    if sys.argv[1] == "--self-test":
        complaints = self_test(check, cases)
    else:
        complaints = check(Path(sys.argv[1]).resolve())
    for complaint in complaints:
        print(complaint)
    sys.exit(1 if complaints else 0)
