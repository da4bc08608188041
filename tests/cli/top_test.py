#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`tmem top` in a pseudo-terminal of 80x24: what is drawn, its keys, resizing, an end of the
daemon, and that the terminal is put back. Arguments: the paths of tmem and control_host."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from terminal import Terminal  # noqa: E402

TMEM, HOST = sys.argv[1:3]
PATIENCE_S = 30


class Top:
    """A running `tmem top` and the screen it draws."""

    def __init__(self, socket, *args, columns=80, rows=24):
        self.screen = Terminal(columns, rows)
        self.master, slave = pty.openpty()
        self.set_size(columns, rows)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(
            [TMEM, "-s", socket, "top", *args], stdin=slave, stdout=slave, stderr=slave,
            env={"PATH": os.environ["PATH"], "TERM": "vt100"}, start_new_session=True)

    def set_size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        self.screen = Terminal(columns, rows)
        self.set_size(columns, rows)
        self.process.send_signal(signal.SIGWINCH)

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.screen.feed(os.read(self.master, 65536).decode("latin-1"))
            except OSError:  # the other end has gone
                time.sleep(0.01)

    def wait_for(self, pattern):
        """Until the screen shows `pattern`; the screen's lines."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if re.search(pattern, "\n".join(self.screen.lines()), re.M):
                return self.screen.lines()
            self.read(0.1)
        raise AssertionError(f"no {pattern!r} on the screen:\n" + "\n".join(self.screen.lines()))

    def press(self, keys):
        os.write(self.master, keys.encode())

    def wait_for_end(self):
        end = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self.master)
        os.close(self.slave)


class TopTest(unittest.TestCase):
    def setUp(self):
        self.socket = f"/tmp/tmem-top-test-{os.getpid()}.sock"
        self.host = subprocess.Popen([HOST, self.socket, "--busy"], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.end_host)
        self.assertEqual(self.host.stdout.readline(), "ready\n")

    def end_host(self):
        self.host.stdin.close()
        self.host.wait(PATIENCE_S)
        self.host.stdout.close()

    def top(self, *args, **size):
        top = Top(self.socket, *args, **size)
        self.addCleanup(top.close)
        return top

    @staticmethod
    def names(lines):
        return [line.split()[0] for line in lines[4:] if line.strip()]

    def test_80x24(self):
        top = self.top("-d", "0.3")
        lines = top.wait_for(r"^alpha ")
        self.assertRegex(lines[0], r"^tmem - \d\d:\d\d:\d\d  tmemd \S+ up \S+  4 clients")
        self.assertRegex(lines[1], r"^MiB: memory 64\.0 held \S+ freeable \S+ eph \S+ pers 0\.2 x")
        self.assertIn("MiB by tier: raw", lines[2])
        self.assertTrue(lines[3].startswith("NAME"), lines[3])
        self.assertIn("HIT%", lines[3])
        self.assertEqual(self.names(lines)[0], "alpha")
        # Refreshes by itself: beta's rates appear.
        top.wait_for(r"^beta +2 ok +100 .* [1-9]\d+ +[1-9]\d+ +100")
        top.press("q")
        self.assertEqual(top.wait_for_end(), 0)
        self.assertEqual(termios.tcgetattr(top.slave)[3] & (termios.ECHO | termios.ICANON),
                         top.before[3] & (termios.ECHO | termios.ICANON))

    def test_keys(self):
        top = self.top("-d", "60")
        top.wait_for(r"^alpha ")
        top.press("i")
        lines = top.wait_for(r"IDv[\s\S]*^shared[\s\S]*^alpha")
        self.assertEqual(self.names(lines), ["shared", "gamma", "beta", "alpha"])
        top.press("r")
        lines = top.wait_for(r"ID\^[\s\S]*^alpha[\s\S]*^shared")
        self.assertEqual(self.names(lines), ["alpha", "beta", "gamma", "shared"])
        top.press("<")
        top.wait_for(r"^NAME\^")
        top.press("?")
        top.wait_for(r"h +HIT% +of the pages asked for")
        top.press("x")
        top.wait_for(r"^NAME\^")
        top.press("\x03")
        self.assertEqual(top.wait_for_end(), 0)

    def test_resizing(self):
        top = self.top("-d", "0.3")
        top.wait_for(r"^alpha ")
        self.assertNotIn("SHARE(M)", top.screen.lines()[3])
        top.resize(150, 30)
        top.wait_for(r"SHARE\(M\)[\s\S]*^gamma ")
        # So small that only some columns and rows fit, then nothing, then back.
        top.resize(20, 6)
        lines = top.wait_for(r"^alpha [\s\S]*^beta ")
        self.assertEqual(len(self.names(lines)), 2)
        top.resize(3, 1)
        top.read(1)
        top.resize(80, 24)
        top.wait_for(r"^shared ")
        self.assertIsNone(top.process.poll())
        top.press("q")
        self.assertEqual(top.wait_for_end(), 0)

    def test_scrolling(self):
        top = self.top("-d", "60", "-o", "i", "-r", rows=6)
        self.assertEqual(self.names(top.wait_for(r"^beta ")), ["alpha", "beta"])
        top.press("\x1bOB")
        self.assertEqual(self.names(top.wait_for(r"^gamma ")), ["beta", "gamma"])

    def test_daemon_ends_and_comes_back(self):
        top = self.top("-d", "0.3")
        top.wait_for(r"^alpha ")
        self.host.stdin.close()
        self.host.wait(PATIENCE_S)
        self.host.stdout.close()
        top.wait_for(r"^NO ANSWER: ")
        self.assertIsNone(top.process.poll())
        self.host = subprocess.Popen([HOST, self.socket], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.assertEqual(self.host.stdout.readline(), "ready\n")
        top.wait_for(r"^MiB by tier")
        top.press("q")
        self.assertEqual(top.wait_for_end(), 0)

    def test_iterations_end_it(self):
        top = self.top("-d", "0.2", "-i", "2")
        self.assertEqual(top.wait_for_end(), 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
