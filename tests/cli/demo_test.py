#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What tools/demo says to wrong arguments, before it builds anything, and to --help. Argument: its
path."""
import subprocess
import sys
import unittest

DEMO = sys.argv[1]


class DemoTest(unittest.TestCase):
    def demo(self, *arguments):
        return subprocess.run([DEMO, *arguments], capture_output=True, text=True, timeout=20,
                              check=False)

    def test_wrong_arguments(self):
        for arguments, text in ((["--what"], "unknown argument --what"),
                                (["--scale"], "--scale needs a value"),
                                (["--shell"], "--shell needs --xen"),
                                (["--xen", "--seed", "2"], "--xen goes with --shell only"),
                                (["--scale", "8", "--xen"], "--xen goes with --shell only")):
            done = self.demo(*arguments)
            self.assertNotEqual(done.returncode, 0, arguments)
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_help(self):
        done = self.demo("--help")
        self.assertEqual(done.returncode, 0)
        for word in ("--files", "--xen", "--shell"):
            self.assertIn(word, done.stdout)
        self.assertNotIn("set -euo", done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
