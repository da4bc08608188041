#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The bed's driver without a machine: results are judged as they should be, scenarios load, archives
are what the kernel expects."""
import io
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from bed import image, machine, scenario  # noqa: E402


class ResultTest(unittest.TestCase):
    def setUp(self):
        self.result = scenario.Result("x")
        for line in ("begin x", "count a 5", "count b 5", "count c PV", "log hello  world",
                     'json d {"e": {"f": [1, 2]}}'):
            self.assertFalse(machine.Machine._take(line, self.result, False))

    def test_figures(self):
        self.assertEqual(self.result.counts,
                         {"a": 5, "b": 5, "c": "PV", "d.e.f.0": 1, "d.e.f.1": 2})
        self.assertEqual(self.result.log, ["hello  world"])
        self.assertTrue(machine.Machine._take("end x 0", self.result, False))
        self.assertTrue(self.result.passed)

    def test_comparisons(self):
        r = self.result
        for holds in (r.equal("a", 5), r.same("a", "b"), r.at_least("a", 5), r.at_most("a", 5)):
            self.assertIsNone(holds)
        for fails in (r.equal("a", 6), r.same("a", "c"), r.at_least("a", 6), r.at_most("a", 4),
                      r.equal("gone", 1), r.same("a", "gone"), r.at_least("c", 1)):
            self.assertTrue(fails)

    def test_failures(self):
        machine.Machine._take("fail it broke", self.result, False)
        self.assertFalse(self.result.passed)
        self.assertEqual(self.result.as_json()["failures"], ["it broke"])

    def test_no_json(self):
        machine.Machine._take("json d not", self.result, False)
        self.assertFalse(self.result.passed)

    def test_check_that_misses_a_figure(self):
        self.result.finish(lambda r: [None if r["gone"] else "x"])
        self.assertEqual(self.result.failures, ["gone was not reported"])

    def test_check_that_complains(self):
        self.result.finish(lambda r: [None, r.equal("a", 6)])
        self.assertEqual(len(self.result.failures), 1)


class ScenariosTest(unittest.TestCase):
    def test_settings_are_overridden_by_their_type(self):
        found = scenario.override(scenario.load("hostile"), ["TURNS=3", "ATTACKS=flood"])
        self.assertEqual((found.settings["TURNS"], found.settings["ATTACKS"]), (3, "flood"))
        for wrong in ("TURNS=x", "NONE=1", "TURNS"):
            with self.assertRaises(scenario.BedError):
                scenario.override(found, [wrong])

    def test_all_load(self):
        found = scenario.load_all()
        self.assertIn("boot", [s.name for s in found])
        for one in found:
            self.assertTrue((scenario.FOLDER / one.name / "dom0.sh").exists(), one.name)
            self.assertTrue(one.summary and one.limit_s > 0)
            for disk in one.disks:
                self.assertLessEqual(len(disk.name), 20)
        disks = {d for s in found for d in s.disks}
        self.assertEqual(len(disks), len({d.name for d in disks}), "a disk's name means two disks")


class ArchiveTest(unittest.TestCase):
    def test_newc(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "a").mkdir()
            (root / "a/b").write_text("12345")
            (root / "link").symlink_to("a/b")
            out = io.BytesIO()
            image.write_cpio(root, out)
        data, names, at = out.getvalue(), {}, 0
        while True:
            self.assertEqual(data[at:at + 6], b"070701")
            fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
            size, name_size = fields[6], fields[11]
            name = data[at + 110:at + 110 + name_size - 1].decode()
            start = at + (110 + name_size + 3) // 4 * 4
            names[name] = data[start:start + size]
            at = start + (size + 3) // 4 * 4
            if name == "TRAILER!!!":
                break
        self.assertEqual(at, len(data))
        self.assertEqual(names, {"a": b"", "a/b": b"12345", "link": b"a/b", "TRAILER!!!": b""})


if __name__ == "__main__":
    unittest.main()
