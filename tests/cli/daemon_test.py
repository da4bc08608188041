#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line against a real tmemd with real clients on its ring. Arguments: the paths of
tmem, tmemd and loopback_guest."""
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TMEM, TMEMD, GUEST = sys.argv[1:4]
PATIENCE_S = 30


class DaemonTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        config = self.root / "tmemd.toml"
        config.write_text(
            f'[pool]\nmemory = "32M"\n'
            f'[loopback]\nsocket = "{self.root}/l.sock"\n'
            f'[control]\nsocket = "{self.root}/c.sock"\n'
            f'[[client]]\nname = "vip"\nweight = 700\nguarantee = "8M"\n', encoding="ascii")
        self.log = open(self.root / "log", "w+", encoding="utf-8")
        self.addCleanup(self.log.close)
        self.daemon = subprocess.Popen([TMEMD, "--config", config], stderr=self.log,
                                       stdout=self.log)
        self.addCleanup(self.kill_daemon)
        self.wait_for(lambda: self.daemon.poll() is not None or
                      self.run_tmem("version").returncode == 0)
        self.assertIsNone(self.daemon.poll(), "tmemd ended at once")

    def kill_daemon(self):
        if self.daemon.poll() is None:
            self.daemon.kill()
        self.daemon.wait(PATIENCE_S)

    def wait_for(self, condition):
        end = time.monotonic() + PATIENCE_S
        while not condition():
            self.assertLess(time.monotonic(), end, "waited too long")
            time.sleep(0.02)

    def run_tmem(self, *args):
        return subprocess.run([TMEM, "-s", f"{self.root}/c.sock", *args], capture_output=True,
                              text=True, timeout=PATIENCE_S, check=False)

    def tmem(self, *args, code=0):
        done = self.run_tmem(*args)
        self.assertEqual(done.returncode, code, f"tmem {args}: {done.stdout}{done.stderr}")
        return done.stdout if code == 0 else done.stderr

    def clients(self):
        return {c["identity"]["name"]: c for c in json.loads(self.tmem("list", "--json"))}

    def guest(self, name, ephemeral, persistent):
        guest = subprocess.Popen(
            [GUEST, f"{self.root}/l.sock", name, str(ephemeral), str(persistent)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_guest, guest)
        self.assertEqual(guest.stdout.readline(), "ready\n")
        return guest

    @staticmethod
    def end_guest(guest):
        if not guest.stdin.closed:
            guest.stdin.close()
        guest.wait(PATIENCE_S)
        guest.stdout.close()

    def test_clients_come_and_go(self):
        guest = self.guest("vip", 100, 20)
        self.guest("web", 50, 0)
        clients = self.clients()
        self.assertEqual(clients["vip"]["pages"], {"ephemeral": 100, "persistent": 20})
        self.assertEqual(clients["vip"]["settings"]["weight"], 700)
        self.assertEqual(clients["vip"]["settings"]["guarantee_bytes"], 8 << 20)
        self.assertEqual(clients["web"]["settings"]["weight"], 100)
        self.end_guest(guest)
        self.wait_for(lambda: "vip" not in self.clients())
        self.assertIn("web", self.tmem("list"))

    def test_changes_reach_the_store(self):
        self.guest("web", 50, 5)
        self.tmem("set", "web", "-w", "3", "-c", "1M")
        self.tmem("freeze", "web")
        settings = self.clients()["web"]["settings"]
        self.assertEqual((settings["weight"], settings["cap_pages"], settings["frozen"]),
                         (3, 256, True))
        self.assertEqual(self.tmem("flush", "web"), "dropped 50 pages\n")
        self.assertEqual(self.tmem("info", "persistent_pages"), "5\n")
        self.assertTrue(json.loads(self.tmem("stats", "--json"))["transport"])

    def test_destroy_disconnects(self):
        guest = self.guest("web", 50, 5)
        self.tmem("destroy", "web", code=1)
        self.assertIn("web", self.clients())
        self.tmem("destroy", "-f", "web")
        self.assertNotIn("web", self.clients())
        self.end_guest(guest)
        self.assertEqual(self.tmem("info", "persistent_pages"), "0\n")

    def test_shutdown_protects_persistent_pages(self):
        self.guest("web", 0, 5)
        self.assertIn("web", self.tmem("shutdown", code=1))
        # SIGTERM is refused too, and the daemon goes on.
        self.daemon.send_signal(signal.SIGTERM)
        self.wait_for(lambda: "persistent" in (self.root / "log").read_text(encoding="utf-8"))
        self.assertEqual(self.tmem("info", "persistent_pages"), "5\n")
        self.tmem("shutdown", "-f")
        self.assertEqual(self.daemon.wait(PATIENCE_S), 0)
        self.tmem("list", code=3)
        self.assertFalse((self.root / "c.sock").exists())

    def test_shutdown_without_persistent_pages(self):
        self.guest("web", 50, 0)
        self.tmem("shutdown")
        self.assertEqual(self.daemon.wait(PATIENCE_S), 0)

    def test_memory_that_cannot_hold_the_guarantees_is_refused(self):
        done = subprocess.run([TMEMD, "--config", self.root / "tmemd.toml", "--memory", "8M"],
                              capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("--memory: the configured guarantees and the reserve need 12M", done.stderr)

    def test_bad_configuration_is_refused_with_its_line(self):
        bad = self.root / "bad.toml"
        bad.write_text("[pool]\nmemroy = 5\n", encoding="ascii")
        done = subprocess.run([TMEMD, "--config", bad], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("bad.toml:2: pool.memroy: unknown key", done.stderr + done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
