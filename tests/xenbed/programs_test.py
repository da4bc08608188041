#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests' test programs on this machine, in small: they find nothing where nothing is wrong, and
each finds damage done behind its back. Argument: the folder of the programs."""
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tty
import unittest

PROGRAMS = pathlib.Path(sys.argv[1])
INTACT, WRONG, USAGE, LOST = 0, 1, 2, 3


class Xenstored(threading.Thread):
    """Answers what comes by a terminal in the place of /dev/xen/xenbus. Each write's value goes to `on_write`."""
    WRITE, ERROR = 11, 16

    def __init__(self, node, on_write):
        super().__init__(daemon=True)
        self.node, self.on_write = node, on_write
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self.start()

    def receive(self, count):
        data = b""
        while len(data) < count:
            data += os.read(self.master, count - len(data))
        return data

    def run(self):
        while True:
            kind, request, transaction, length = struct.unpack("=IIII", self.receive(16))
            node, value = self.receive(length).decode("ascii").split("\0")
            if (kind, node) == (self.WRITE, self.node):
                self.on_write(value)
                answer = b"OK\0"
            else:
                kind, answer = self.ERROR, b"ENOENT\0"
            os.write(self.master, struct.pack("=IIII", kind, request, transaction, len(answer)) + answer)


class ProgramsTest(unittest.TestCase):
    def setUp(self):
        # Beside the programs: direct I/O needs a real file system, which /tmp may not be.
        folder = tempfile.TemporaryDirectory(dir=PROGRAMS)
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def run_program(self, status, name, *words):
        done = subprocess.run([PROGRAMS / name, *map(str, words)], capture_output=True, text=True,
                              timeout=120, check=False)
        self.assertEqual(done.returncode, status, f"{name} {words}: {done.stdout}{done.stderr}")
        return self.counts_of(done.stdout)

    @staticmethod
    def counts_of(text):
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", text)}

    def test_hog(self):
        counts = self.run_program(INTACT, "hog", "--mib", 8, "--operations", 5000, "--seed", 3)
        self.assertEqual(counts["pages"], 2048)
        self.assertEqual(counts["rewritten"] + counts["verified"], 2 * 2048 + 5000)
        self.assertEqual(counts["wrong"] + counts["lost"], 0)

    def test_hog_sweeps(self):
        counts = self.run_program(INTACT, "hog", "--mib", 4, "--operations", 4096, "--sweep", 1)
        self.assertEqual(counts["rewritten"] + counts["verified"], 2 * 1024 + 4096)

    def test_hog_finds_damage(self):
        counts = self.run_program(WRONG, "hog", "--mib", 8, "--corrupt", 1)
        self.assertEqual(counts["wrong"], 1)

    def test_slots(self):
        path = f"{self.folder}/device"
        with open(path, "wb") as file:
            file.truncate(12 * 4096)
        def slots(status, verb, first, pages, version):
            return self.run_program(status, "slots", verb, path, "--first", first, "--pages", pages,
                                    "--version", version)
        slots(INTACT, "write", 0, 8, 1)
        slots(INTACT, "write", 0, 3, 2)
        self.assertEqual(slots(INTACT, "read", 0, 3, 2)["intact"], 3)
        counts = slots(WRONG, "read", 0, 10, 2)
        self.assertEqual([counts[key] for key in ("intact", "old", "zero", "lost", "wrong")],
                         [3, 5, 2, 0, 0])
        self.assertEqual(slots(WRONG, "read", 0, 3, 1)["wrong"], 3)
        self.assertEqual(slots(LOST, "read", 12, 2, 1)["lost"], 2)

    def test_fileset(self):
        size = ("--mib", 9, "--file-kib", 300, "--seed", 5)
        self.run_program(INTACT, "fileset", "create", self.folder, *size)
        for order in ("sequential", "random"):
            counts = self.run_program(INTACT, "fileset", "read", self.folder, *size, "--order",
                                      order, "--rewrite", 20)
            self.assertEqual(counts["read"], 9 * 256)
            self.assertGreater(counts["rewritten"], 0)
        # Another seed expects other bytes everywhere.
        counts = self.run_program(WRONG, "fileset", "read", self.folder, "--mib", 9, "--file-kib",
                                  300, "--seed", 6)
        self.assertEqual(counts["wrong"], 9 * 256)

    def test_fileset_finds_damage(self):
        self.run_program(INTACT, "fileset", "create", self.folder, "--mib", 4, "--corrupt", 1)
        for order in ("sequential", "random"):
            counts = self.run_program(WRONG, "fileset", "read", self.folder, "--mib", 4, "--order",
                                      order)
            self.assertEqual(counts["wrong"], 1)

    def test_fileset_finds_a_short_file(self):
        self.run_program(INTACT, "fileset", "create", self.folder, "--mib", 4)
        with open(f"{self.folder}/00002", "r+b") as file:
            file.truncate(1000000)
        self.assertGreater(
            self.run_program(WRONG, "fileset", "read", self.folder, "--mib", 4)["failed"], 0)

    def test_coherency(self):
        counts = self.run_program(INTACT, "coherency", self.folder, "--processes", 3,
                                  "--operations", 400)
        self.assertEqual(counts["operations"], 1200)
        self.assertGreater(counts["reads"], 300)
        self.assertEqual(counts["mismatches"], 0)

    def test_coherency_finds_damage(self):
        counts = self.run_program(WRONG, "coherency", self.folder, "--processes", 2,
                                  "--operations", 50, "--corrupt", 1)
        self.assertGreaterEqual(counts["mismatches"], 2)

    def test_diorace(self):
        counts = self.run_program(INTACT, "diorace", f"{self.folder}/file", "--seconds", 1)
        self.assertGreater(counts["written"], 0)
        self.assertGreater(counts["judged"], 0)
        self.assertEqual(counts["stale"] + counts["stale_pages"], 0)

    def test_diorace_finds_an_old_page(self):
        counts = self.run_program(WRONG, "diorace", f"{self.folder}/file", "--seconds", 1,
                                  "--corrupt", 1)
        self.assertGreaterEqual(counts["stale_pages"], 1)

    def test_speed(self):
        file = pathlib.Path(self.folder) / "device"
        file.write_bytes(bytes(300 * 4096))
        for depth, pages in ((1, 256), (7, 252), (64, 256)):
            for operation in ("write", "read"):
                counts = self.run_program(INTACT, "speed", operation, file, "--pages", 256,
                                          "--depth", depth, "--version", depth)
                self.assertEqual((counts["pages"], counts["wrong"]), (pages, 0))
                self.assertGreater(counts["total_ns"], 0)
        with open(file, "r+b") as damaged:
            damaged.seek(100 * 4096)
            damaged.write(b"wrong")
        counts = self.run_program(WRONG, "speed", "read", file, "--pages", 256, "--version", 64)
        self.assertEqual(counts["wrong"], 1)

    def test_speed_beside_somebody(self):
        file = pathlib.Path(self.folder) / "device"
        file.write_bytes(bytes(300 * 4096))
        said = []
        xenbus = Xenstored("/data/turn", said.append).path
        churn = ("speed", "churn", file, "--pages", 256, "--depth", 16, "--turns", 5, "--turn-ms", 20,
                 "--pause-us", 100, "--xenbus", xenbus)
        counts = self.run_program(INTACT, *churn, "--turn-node", "/data/turn")
        self.assertEqual(said, ["0", "1"] * 5 + ["0"])
        self.assertEqual((counts["turns"], counts["wrong"]), (5, 0))
        self.assertLessEqual(counts["permille_low"], counts["permille"])
        self.assertLessEqual(counts["permille"], counts["permille_high"])
        self.assertGreater(counts["permille"], 0)
        self.assertGreater(counts["mean_permille"], 0)
        self.run_program(USAGE, *churn, "--turn-node", "/data/another")

    def test_speed_sees_who_disturbs(self):
        file = pathlib.Path(self.folder) / "device"
        file.write_bytes(bytes(300 * 4096))
        turn = threading.Event()
        xenbus = Xenstored("/data/turn", lambda value: turn.set() if value == "1" else turn.clear()).path
        command = ("speed", "churn", file, "--pages", 256, "--turns", 5, "--turn-ms", 200, "--xenbus", xenbus,
                   "--turn-node", "/data/turn")
        with subprocess.Popen([PROGRAMS / command[0], *map(str, command[1:])], stdout=subprocess.PIPE,
                              text=True) as speed:
            end = time.monotonic() + 120
            try:
                while speed.poll() is None:  # stopped for half of each of its other turns
                    self.assertLess(time.monotonic(), end)
                    if turn.wait(0.1):
                        speed.send_signal(signal.SIGSTOP)
                        time.sleep(0.01)
                    speed.send_signal(signal.SIGCONT)
                    time.sleep(0.01)
            finally:
                speed.kill()
            counts = self.counts_of(speed.stdout.read())
        self.assertEqual(speed.returncode, INTACT)
        self.assertLess(counts["permille"], 800)
        self.assertLess(counts["mean_permille"], 800)

    def test_usage(self):
        for words in (["hog"], ["hog", "--mib", "x"], ["hog", "--what", "1"], ["fileset"],
                      ["fileset", "read", self.folder], ["coherency"], ["diorace"], ["speed"],
                      ["speed", "churn", self.folder, "--pages", "1", "--turns", "5", "--turn-ms", "5"],
                      ["speed", "churn", self.folder, "--pages", "1", "--turn-node", "x", "--turns", "1", "--turn-ms", "5"],
                      ["slots", "read"], ["slots", "write", self.folder, "--pages", "1"]):
            self.run_program(USAGE, *words)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
