#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/tmem-xl with programs in the place of xl and tmem that note how they are called. Argument: the
path of tmem-xl."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

TMEM_XL = sys.argv[1]

XL = """#!/bin/sh
[ "$1" != domid ] || { case $2 in web) echo 7 ;; plain) echo 9 ;; *) exit 1 ;; esac; exit; }
echo "xl $*" >> log
[ ! -e migrated ] || : > gone
exit "$(cat xl_status)"
"""
TMEM = """#!/bin/sh
[ ! -e dead ] || exit 3
case "$1 $2" in
  "list -l")
    [ -e gone ] || printf 'name   : web\nid     : 4\ndomid  : 7\ntransport : xen\n\n'
    printf 'name   : local\nid     : 5\ndomid  : 9\ntransport : loopback\n' ;;
  *) echo "tmem $*" >> log
     case $2 in --timeout) exit "$(cat evacuate_status)" ;; esac ;;
esac
"""


class TmemXlTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name, text in (("xl", XL), ("tmem", TMEM)):
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o755)
        self.set("xl_status", "0")
        self.set("evacuate_status", "0")

    def set(self, name, text=""):
        (self.folder / name).write_text(text)

    def call(self, *args, code=0):
        done = subprocess.run(
            [TMEM_XL, *args], cwd=self.folder, capture_output=True, text=True, check=False,
            timeout=30, env={"PATH": os.environ["PATH"], "XL": "./xl", "TMEM": "./tmem"})
        self.assertEqual(done.returncode, code, done.stderr)
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def test_a_guest_is_evacuated_before_it_is_migrated(self):
        self.set("migrated")
        self.assertEqual(self.call("migrate", "-C", "file", "--live", "web", "host"),
                         ["tmem evacuate --timeout 300 4", "xl migrate -C file --live web host"])

    def test_a_guest_that_goes_on_may_put_pages_again(self):
        self.assertEqual(self.call("save", "-c", "web", "file"),
                         ["tmem evacuate --timeout 300 4", "xl save -c web file",
                          "tmem evacuate --cancel 4"])

    def test_xls_failure_is_told(self):
        self.set("xl_status", "5")
        self.assertEqual(self.call("save", "7", "file", code=5)[1:],
                         ["xl save 7 file", "tmem evacuate --cancel 4"])

    def test_a_guest_that_cannot_evacuate_is_not_saved(self):
        self.set("evacuate_status", "1")
        self.assertEqual(self.call("save", "web", "file", code=1), ["tmem evacuate --timeout 300 4"])

    def test_a_guest_without_tmem(self):
        self.assertEqual(self.call("save", "plain", "file"), ["xl save plain file"])

    def test_nothing_is_done_without_a_daemon(self):
        self.set("dead")
        self.assertEqual(self.call("save", "web", "file", code=1), [])

    def test_a_domain_that_does_not_exist(self):
        self.assertEqual(self.call("save", "nobody", "file", code=1), [])

    def test_other_commands_are_passed_on(self):
        self.assertEqual(self.call("pause", "web"), ["xl pause web"])
        self.assertEqual(self.call("save"), ["xl pause web", "xl save"])
        self.call(code=2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
