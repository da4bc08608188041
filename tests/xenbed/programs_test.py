#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests' test programs on this machine, in small: they find nothing where nothing is wrong, and
each finds damage done behind its back. Argument: the folder of the programs."""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAMS = pathlib.Path(sys.argv[1])
INTACT, WRONG, USAGE, LOST = 0, 1, 2, 3


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
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", done.stdout)}

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
        said = pathlib.Path(self.folder) / "said"
        churn = ("speed", "churn", file, "--pages", 256, "--depth", 16, "--turns", 5, "--turn-ms", 20,
                 "--pause-us", 100)
        counts = self.run_program(INTACT, *churn, "--between", f"echo >> {said}")
        self.assertEqual(said.read_text("ascii").split(), ["0", "1"] * 5 + ["0"])
        self.assertEqual((counts["turns"], counts["wrong"]), (5, 0))
        self.assertLessEqual(counts["permille_low"], counts["permille"])
        self.assertLessEqual(counts["permille"], counts["permille_high"])
        self.assertGreater(counts["permille"], 0)
        self.run_program(USAGE, *churn, "--between", "false")

    def test_speed_sees_who_disturbs(self):
        file = pathlib.Path(self.folder) / "device"
        file.write_bytes(bytes(300 * 4096))
        # disturb PID 1: stops that process half of the time, until `disturb PID 0`.
        script = pathlib.Path(self.folder) / "disturb"
        script.write_text('if [ "$2" = 1 ]; then\n'
                          '  while kill -STOP "$1"; do sleep 0.01; kill -CONT "$1"; sleep 0.01; done &\n'
                          '  echo $! > "$0.pid"\n'
                          'elif [ -e "$0.pid" ]; then\n'
                          '  kill "$(cat "$0.pid")"; kill -CONT "$1"\n'
                          'fi\n', "ascii")
        counts = self.run_program(INTACT, "speed", "churn", file, "--pages", 256, "--turns", 5, "--turn-ms", 200,
                                  "--between", f"sh {script} $PPID")
        self.assertLess(counts["permille"], 800)

    def test_usage(self):
        for words in (["hog"], ["hog", "--mib", "x"], ["hog", "--what", "1"], ["fileset"],
                      ["fileset", "read", self.folder], ["coherency"], ["diorace"], ["speed"],
                      ["slots", "read"], ["slots", "write", self.folder, "--pages", "1"]):
            self.run_program(USAGE, *words)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
