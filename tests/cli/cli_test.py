#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line `tmem`, run against control_host (a store with known pages): output, JSON,
errors on stderr, exit codes. Arguments: the paths of tmem and control_host."""
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TMEM, HOST = sys.argv[1:3]
POOL = "00000000-0000-4000-8000-00000000abcd"
PATIENCE_S = 30


class Host:
    """A control_host that lives as long as the test."""

    def __init__(self, *options):
        self.directory = tempfile.TemporaryDirectory()
        self.socket = str(pathlib.Path(self.directory.name) / "c.sock")
        self.process = subprocess.Popen(
            [HOST, self.socket, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("control_host did not start")

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        self.directory.cleanup()


def run(socket, *args, **environment):
    return subprocess.run(
        [TMEM, *args], capture_output=True, text=True, timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "TMEM_SOCKET": socket, **environment}, check=False)


class CliTest(unittest.TestCase):
    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.close)

    def tmem(self, *args, code=0):
        done = run(self.host.socket, *args)
        self.assertEqual(done.returncode, code, f"tmem {args}: {done.stdout}{done.stderr}")
        if code == 0:
            self.assertEqual(done.stderr, "")
        else:
            self.assertEqual(done.stdout, "")
            self.assertTrue(done.stderr.startswith("tmem: "), done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def json(self, *args):
        return json.loads(self.tmem("--json", *args))

    def client(self, name):
        return self.json("list", name)[0]

    # ---- policy, why ----

    def test_policy_show(self):
        text = self.tmem("policy", "show")
        self.assertRegex(text, r"(?m)^mode +: advise$")
        self.assertRegex(text, r"(?m)^strategy +: selfballoon\+psi, knob [0-9.]+$")
        self.assertRegex(text, r"(?m)^head_room_mib +: 64\.0$")
        self.assertRegex(text, r"(?m)^ +1 +alpha +host +256\.0 +1024\.0 +100 +0 +512\.0 +512\.0 +ok$")
        self.assertEqual([g["name"] for g in self.json("policy", "show")["guests"]],
                         ["alpha", "beta"])

    def test_policy_set_of_all(self):
        text = self.tmem("policy", "set", "mode=host", "strategy=proxmox", "knob=0.9")
        self.assertRegex(text, r"(?m)^mode +: host$")
        self.assertRegex(text, r"(?m)^strategy +: proxmox, knob 0\.9$")
        self.assertIn("choose one of", self.tmem("policy", "set", "strategy=none", code=1))
        self.assertIn("off, advise, host", self.tmem("policy", "set", "mode=on", code=1))

    def test_policy_set_of_a_guest(self):
        guest = self.json("policy", "set", "alpha", "min=300M", "max=600", "weight=7",
                          "priority=2", "mode=guest")["guests"][0]
        self.assertEqual(guest["settings"], {"min_bytes": 300 << 20, "max_bytes": 600 << 20,
                                             "weight": 7, "priority": 2})
        self.assertEqual((guest["mode"], guest["changed"]), ("guest", True))
        self.assertIn("above the maximum", self.tmem("policy", "set", "1", "min=700M", code=1))
        guest = self.json("policy", "set", "alpha", "--reset")["guests"][0]
        self.assertEqual((guest["mode"], guest["changed"]), ("host", False))
        self.assertIn("nobody", self.tmem("policy", "set", "nobody", "min=64M", code=1))

    def test_policy_set_says_what_is_wrong(self):
        for args in ((), ("alpha",), ("min=64M",), ("alpha", "min=x"), ("alpha", "weight=-1"),
                     ("knob=1x",), ("alpha", "beta"), ("--reset",), ("alpha", "knob=1")):
            self.tmem("policy", "set", *args, code=2)
        self.tmem("policy", code=2)

    def test_why(self):
        for _ in range(6):
            text = self.tmem("why", "alpha")
        self.assertRegex(text, r"(?m)^alpha \(domain 1\): 512\.0 MiB$")
        self.assertRegex(text, r"(?m)^  set by +: not tmemd: the policy only advises$")
        self.assertRegex(text, r"(?m)^  report +: fresh, the last good one 0\.0 s ago$")
        self.assertRegex(text, r"(?m)^  wish +: [0-9.]+ MiB, calm: nothing hurt, so a little less$")
        self.assertRegex(text, r"(?m)^ +\d+ accepted, 0 malformed, 0 absurd, 0 times stale, 0 swings, \d+ events, ")
        both = self.json("why")["guests"]
        self.assertEqual([g["name"] for g in both], ["alpha", "beta"])
        self.assertEqual(both[0]["pool"]["persistent_pages"], 50)
        self.assertEqual(both[1]["report"]["state"], "none")
        self.assertRegex(self.tmem("why", "2"), r"(?m)^  report +: none, the last good one never$")
        self.assertIn("nobody", self.tmem("why", "nobody", code=1))

    def test_without_guests_of_xen_there_is_no_policy(self):
        host = Host("--memfd")
        self.addCleanup(host.close)
        for verb in (("policy", "show"), ("why",), ("policy", "set", "mode=off")):
            done = run(host.socket, *verb)
            self.assertEqual(done.returncode, 1)
            self.assertIn("no guests of Xen", done.stderr)

    # ---- list ----

    def test_list_is_an_aligned_table(self):
        lines = self.tmem("list").splitlines()
        self.assertEqual(lines[0].split(), "Name ID Weight Cap Eph MiB Pers MiB Charged Share Hit% "
                         "Dedup State".split())
        rows = {line.split()[0]: line.split() for line in lines[1:]}
        self.assertEqual(rows["alpha"][2:6], ["100", "none", "3.9", "0.2"])
        self.assertEqual(rows["alpha"][8], "75.0")
        self.assertEqual(rows["gamma"][8], "-")
        self.assertEqual(rows["alpha"][-2:], ["client", "ok"])
        self.assertEqual(rows["shared"][-1], "shared")
        # Right-aligned columns end where their titles end.
        for title in ("ID", "Weight", "Cap", "Charged", "Share", "Hit%"):
            end = lines[0].index(title) + len(title)
            for line in lines[1:]:
                self.assertNotEqual(line[end - 1], " ", (title, line))
                self.assertEqual(line[end], " ", (title, line))

    def test_list_of_one_client_by_number_name_and_uuid(self):
        uuid = self.client("beta")["identity"]["uuid"]
        for name in ("2", "beta", uuid):
            lines = self.tmem("list", name).splitlines()
            self.assertEqual(len(lines), 2)
            self.assertEqual(lines[1].split()[0], "beta")

    def test_list_long(self):
        text = self.tmem("list", "-l", "alpha")
        self.assertRegex(text, r"(?m)^hits +: 300$")
        self.assertRegex(text, r"(?m)^  pool 1 +: private persistent, 50 pages$")

    def test_list_json(self):
        alpha = self.client("alpha")
        self.assertEqual(alpha["pages"], {"ephemeral": 1000, "persistent": 50})
        self.assertEqual(alpha["counters"]["gets"], 400)
        self.assertEqual([c["identity"]["name"] for c in self.json("list")][:3],
                         ["alpha", "beta", "gamma"])

    def test_unknown_client(self):
        self.assertIn("nobody", self.tmem("list", "nobody", code=1))
        self.tmem("list", "a", "b", code=2)

    def parse_legacy(self, *args):
        """What a parser of xl tmem-list reads: (letter, [(tag, value)]) of each line."""
        records = []
        for line in self.tmem("list", "--legacy", *args).splitlines():
            if line == "T":
                records.append(("T", []))
                continue
            self.assertRegex(line, r"^[GCPS]=\w\w:\w+(,\w\w:\w+)*$")
            fields = [tuple(field.split(":")) for field in line[2:].split(",")]
            records.append((line[0], fields))
        return records

    def test_legacy_records_in_order_with_all_tags(self):
        tags = {
            "G": "Tt Te Cf Af Pf Ta Lm Et Ea Rt Ra Rx Fp",
            "S": "SI PT U0 U1 SC",
            "C": "CI ww ca co fr Tc Ge Pp Gp",
            "P": "CI PI PT U0 U1",
            "T": "",
        }
        records = self.parse_legacy()
        self.assertEqual("".join(letter for letter, _ in records), "GSCPPCPPCT")
        for letter, fields in records:
            self.assertEqual([tag for tag, _ in fields], tags[letter].split())
        self.assertEqual(dict(records[2][1])["Ge"], "300")
        self.assertEqual([dict(f)["PT"] for r, f in records if r == "P"],
                         ["EP", "PP", "EP", "ES"])
        shared = dict(records[1][1])
        # The uuid's bytes as two little-endian words.
        self.assertEqual(shared["U0"], "40000000000000")
        self.assertEqual(shared["U1"], "cdab000000000080")
        self.assertEqual(shared["SC"], "2")

    def test_legacy_long_of_one_client(self):
        records = self.parse_legacy("-l", "alpha")
        self.assertEqual([letter for letter, _ in records], ["C", "P", "P"])
        self.assertEqual(dict(records[0][1])["Ec"], "1000")
        self.assertEqual(dict(records[2][1])["Pc"], "50")
        long_global = dict(self.parse_legacy("-l")[0][1])
        self.assertEqual(list(long_global)[13:], "Ec Em Oc Om Nc Nm Pc Pm Fc Fm Sc Sm Ep Gd Zt "
                         "Gz".split())

    # ---- info, freeable, stats, version ----

    def test_info(self):
        text = self.tmem("info")
        for line in text.splitlines():
            self.assertRegex(line, r"^[a-z0-9_]+ *: \S")
        self.assertRegex(text, r"(?m)^memory_mib +: 64\.0$")
        self.assertRegex(text, r"(?m)^persistent_pages +: 50$")
        for tier in ("raw", "lz4", "zstd"):
            self.assertIn(f"{tier}_mib", text)
        self.assertEqual(self.tmem("info", "memory_mib"), "64.0\n")
        self.assertEqual(self.json("info")["store"]["budget_bytes"], 64 << 20)
        self.tmem("info", "no_such_key", code=1)

    def test_freeable_is_whole_mib(self):
        freeable = self.json("freeable")["freeable_bytes"]
        self.assertEqual(int(self.tmem("freeable")), freeable >> 20)

    def test_info_of_the_hosts_memory(self):
        text = self.tmem("info")
        for key, value in (("provider", "pool-domain"), ("pool_domain", "3"),
                           ("stranded_slots", "2"),
                           ("provider_held_mib", "900.0"), ("provider_limit_mib", "900.0"),
                           ("provider_freeable_mib", "300.0"), ("take_mib_per_s", "-"),
                           ("give_back_mib_per_s", "100.0"), ("host_total_mib", "1024.0"),
                           ("host_free_mib", "120.0"), ("host_claimed_mib", "20.0"),
                           ("head_room_mib", "50.0"), ("room_state", "-"),
                           ("room_wanted_mib", "-"), ("room_hold_s", "-")):
            self.assertRegex(text, rf"(?m)^{key} +: {value}$")
            self.assertEqual(self.tmem("info", key), value + "\n")
        self.tmem("make-room", "64M", "--hold", "3600")
        self.assertEqual(self.tmem("info", "room_state"), "ready\n")
        self.assertEqual(self.tmem("info", "room_wanted_mib"), "64.0\n")
        self.assertGreater(int(self.tmem("info", "room_hold_s")), 3500)
        self.assertIn("memory.host.free_bytes: 125829120\n", self.tmem("stats"))
        self.assertEqual(self.json("freeable")["host_free_bytes"], 100 << 20)

    def test_make_room_asks_and_says_how_things_stand(self):
        self.assertEqual(self.tmem("make-room", "100"),
                         "ready: 100 MiB are free, 300 MiB more could be given back\n")
        self.assertRegex(self.tmem("make-room", "390M"), r"^making: \d+ MiB are free, \d+ MiB more")
        self.assertEqual(self.json("make-room", "390M")["room"]["wanted_bytes"], 390 << 20)
        self.assertEqual(self.tmem("info", "room_state"), "making\n")
        self.assertRegex(self.tmem("make-room", "--cancel"), "^nothing asked: ")
        self.assertEqual(self.tmem("info", "room_state"), "-\n")
        self.assertIn("500 MiB", self.tmem("make-room", "1G", code=1))

    def test_make_room_waits(self):
        self.assertGreaterEqual(int(self.tmem("make-room", "150M", "--wait")), 150)
        self.assertEqual(self.tmem("info", "room_state"), "ready\n")
        # The hold begins when the room is there.
        self.assertIn(int(self.tmem("info", "room_hold_s")), range(50, 61))
        self.assertGreaterEqual(self.json("make-room", "110M", "-w")["host"]["free_bytes"],
                                110 << 20)

    def test_make_room_in_one_look(self):
        self.assertEqual(self.tmem("make-room", "100M", "--wait=0"), "100\n")
        self.assertIn("after 0 s", self.tmem("make-room", "390M", "--wait=0", code=1))

    def test_make_room_that_somebody_else_asks_for(self):
        with subprocess.Popen([TMEM, "-s", self.host.socket, "make-room", "390M", "--wait"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as first:
            deadline = time.monotonic() + PATIENCE_S
            while self.tmem("info", "room_wanted_mib") != "390.0\n":
                self.assertLess(time.monotonic(), deadline)
            self.tmem("make-room", "50M")
            self.assertIn("somebody else", first.communicate(timeout=PATIENCE_S)[1])
        self.assertEqual(first.returncode, 1)
        self.assertEqual(self.tmem("info", "room_wanted_mib"), "50.0\n")

    def test_make_room_shows_progress_on_a_terminal(self):
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "rb"), os.fdopen(theirs, "wb") as terminal:
            done = subprocess.run([TMEM, "-s", self.host.socket, "make-room", "390M", "--wait"],
                                  stdout=subprocess.PIPE, stderr=terminal, timeout=PATIENCE_S,
                                  check=False)
            text = ""  # the kernel hands it over in parts
            while not text.endswith("\n") and select.select([ours], [], [], PATIENCE_S)[0]:
                text += os.read(ours, 65536).decode()
        self.assertEqual(done.returncode, 0)
        self.assertRegex(text, r"^\r\d+\.\d of 390\.0 MiB are free after \d+ s ")
        self.assertTrue(text.endswith("\n"))

    def test_make_room_that_cannot_be_had(self):
        message = self.tmem("make-room", "450M", "--wait", code=1)
        self.assertRegex(message, "450 MiB cannot be made free: 100 MiB are free, 300 MiB more .*shut")
        self.assertEqual(self.tmem("info", "room_state"), "-\n")
        message = self.tmem("make-room", "390M", "--wait=1", code=1)
        self.assertRegex(message, "390 MiB are not free after 1 s: [1-3].. MiB are free, .*wait longer")
        self.assertEqual(self.tmem("info", "room_state"), "-\n")
        self.assertIn("500 MiB", self.tmem("make-room", "1G", "--wait", code=1))

    def test_make_room_of_a_memfd(self):
        host = Host("--memfd")
        self.addCleanup(host.close)
        self.assertIn("memfd", self.tmem("-s", host.socket, "make-room", "64M", "--wait", code=1))
        self.assertEqual(self.tmem("-s", host.socket, "info", "provider"), "memfd\n")
        self.assertEqual(self.tmem("-s", host.socket, "info", "host_free_mib"), "-\n")
        self.assertNotIn("host_free_bytes", self.json("-s", host.socket, "freeable"))

    def test_make_room_usage(self):
        for args in ([], ["64M", "--cancel"], ["lots"], ["64M", "--wait=x"], ["64M", "--wait=3601"],
                     ["64M", "--hold", "0"], ["64M", "--hold", "3601"], ["-5"], ["1", "2"]):
            self.tmem("make-room", *args, code=2)
        for size in ("1k", "65T"):
            self.tmem("make-room", size, code=1)
        self.tmem("-s", "/nonexistent/socket", "make-room", "64M", "--wait", code=3)

    def test_stats(self):
        text = self.tmem("stats")
        self.assertIn("store.pages.persistent: 50\n", text)
        self.assertIn("clients.1.counters.hits: 300\n", text)
        self.assertIn("transport.bad_requests: 0\n", text)
        self.assertEqual(self.json("stats")["control"]["requests_malformed"], 0)

    def test_version(self):
        self.assertRegex(self.tmem("version"), r"^tmem  \S+\ntmemd \S+ \(protocol 1\)\n$")

    # ---- changes ----

    def test_set(self):
        self.assertEqual(self.tmem("set", "beta", "-w", "250", "-c", "100M", "-p", "0", "-g", "8M",
                                   "-d", "group", "-G", "web"), "")
        settings = self.client("beta")["settings"]
        self.assertEqual(
            settings, {"weight": 250, "cap_pages": 25600, "compress": False, "frozen": False,
                       "guarantee_bytes": 8 << 20, "dedup": "group", "dedup_group": "web"})
        self.tmem("set", "-a", "-c", "none", "-d", "none")
        for name in ("alpha", "beta", "gamma"):
            self.assertIsNone(self.client(name)["settings"]["cap_pages"])
        self.assertEqual(self.client("beta")["settings"]["weight"], 250)

    def test_set_refusals(self):
        for args in (["beta"], ["-w", "1"], ["beta", "-a", "-w", "1"], ["beta", "-w", "x"],
                     ["beta", "-w", "-1"], ["beta", "-w", "1000001"], ["beta", "-c", "lots"], ["beta", "-p", "2"],
                     ["beta", "-d", "all"], ["beta", "--frob"], ["beta", "-w"]):
            self.tmem("set", *args, code=2)
        self.tmem("set", "beta", "-g", "1G", code=1)
        self.tmem("set", "nobody", "-w", "1", code=1)
        self.assertEqual(self.client("beta")["settings"]["weight"], 100)

    def test_freeze_and_thaw(self):
        self.tmem("freeze", "beta")
        self.assertRegex(self.tmem("list", "beta"), r"frozen\n$")
        self.tmem("freeze", "-a")
        self.assertTrue(self.client("gamma")["settings"]["frozen"])
        self.tmem("thaw", "-a")
        self.assertFalse(self.client("beta")["settings"]["frozen"])
        self.tmem("freeze", code=2)

    def test_flush(self):
        self.assertEqual(self.tmem("flush", "alpha"), "dropped 1000 pages\n")
        self.assertEqual(self.client("alpha")["pages"], {"ephemeral": 0, "persistent": 50})
        self.assertEqual(self.client("beta")["pages"]["ephemeral"], 200)
        self.assertGreater(self.json("flush", "-a", "1M")["dropped_pages"], 0)
        self.tmem("flush", "-a")
        self.assertEqual(self.json("info")["store"]["pages"], {"ephemeral": 0, "persistent": 50})
        for args in ([], ["alpha", "1M"], ["-a", "much"], ["-a", "alpha", "1M"]):
            self.tmem("flush", *args, code=2)

    def test_destroy_protects_persistent_pages(self):
        self.assertIn("50 persistent pages", self.tmem("destroy", "alpha", code=1))
        self.assertEqual(self.client("alpha")["pages"]["persistent"], 50)
        self.tmem("destroy", "-f", "alpha")
        self.tmem("destroy", "gamma")
        names = [c["identity"]["name"] for c in self.json("list")]
        self.assertEqual(names[0], "beta")
        self.assertNotIn("gamma", names)
        self.tmem("destroy", code=2)

    def test_evacuate(self):
        self.assertFalse(self.client("gamma")["transport"]["evacuating"])
        self.assertEqual(self.tmem("evacuate", "gamma"), "")
        self.assertTrue(self.client("gamma")["transport"]["evacuating"])
        long = self.tmem("list", "-l", "gamma")
        for line in ("transport *: xen", "connection *: connected", "evacuating *: 1",
                     "can_migrate *: 1"):
            self.assertRegex(long, line)
        self.assertEqual(self.tmem("evacuate", "--cancel", "gamma"), "")
        self.assertFalse(self.client("gamma")["transport"]["evacuating"])
        self.assertEqual(self.json("evacuate", "gamma"), {"evacuating": True, "number": 3})

    def test_evacuate_that_fails_is_taken_back(self):
        self.assertIn("the guest cannot: no disk", self.tmem("evacuate", "beta", code=1))
        self.assertFalse(self.client("beta")["transport"]["evacuating"])
        self.assertIn("has not done it within 1 s",
                      self.tmem("evacuate", "gamma", "--timeout", "1", code=1))
        self.assertFalse(self.client("gamma")["transport"]["evacuating"])
        self.assertRegex(self.tmem("evacuate", "alpha", "--timeout", "1", code=1),
                         "says that it has done it, but .*; 50 persistent pages are left")
        self.assertFalse(self.client("alpha")["transport"]["evacuating"])
        self.assertIn("no guest", self.tmem("evacuate", POOL, code=1))
        self.assertIn("no client", self.tmem("evacuate", "delta", code=1))

    def begin_to_evacuate(self, name):
        """A tmem that waits for a guest that is silent."""
        waiting = subprocess.Popen(
            [TMEM, "-s", self.host.socket, "evacuate", name], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(waiting.stderr.close)
        self.addCleanup(waiting.kill)
        deadline = time.monotonic() + PATIENCE_S
        while not self.client(name)["transport"]["evacuating"]:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        return waiting

    def test_evacuate_that_is_interrupted_is_taken_back(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            waiting = self.begin_to_evacuate("gamma")
            self.assertRegex(self.tmem("list", "gamma"), r"(?m)^gamma .* evacuating$")
            self.assertIn("state                    : evacuating", self.tmem("list", "-l", "gamma"))
            waiting.send_signal(number)
            self.assertEqual(waiting.wait(PATIENCE_S), 1)
            self.assertEqual(waiting.stderr.read(), "tmem: not evacuated: interrupted\n")
            self.assertFalse(self.client("gamma")["transport"]["evacuating"])
            self.assertRegex(self.tmem("list", "gamma"), r"(?m)^gamma .* ok$")

    def test_evacuate_that_cannot_be_taken_back_says_how(self):
        waiting = self.begin_to_evacuate("gamma")
        uuid = self.client("gamma")["identity"]["uuid"]
        self.tmem("shutdown", "-f")
        self.assertEqual(waiting.wait(PATIENCE_S), 1)
        self.assertIn(f"tmem evacuate --cancel {uuid}", waiting.stderr.read())

    def test_shared_auth(self):
        self.assertEqual(len(self.json("shared-auth")), 1)
        self.tmem("shared-auth", "gamma", "-u", POOL, "-A", "1")
        self.assertEqual(self.tmem("shared-auth").count(POOL), 2)
        self.tmem("shared-auth", "-a", "-u", POOL, "-A", "0")
        self.assertEqual(self.json("shared-auth"), [])
        for args in (["gamma"], ["-u", POOL, "-A", "1"], ["gamma", "-u", "x", "-A", "1"],
                     ["gamma", "-u", POOL, "-A", "2"], ["gamma", "-u", POOL]):
            self.tmem("shared-auth", *args, code=2)

    def test_set_memory(self):
        self.assertEqual(self.tmem("set-memory", "32M"), "32.0 MiB, was 64.0 MiB\n")
        self.assertEqual(self.tmem("info", "memory_mib"), "32.0\n")
        self.tmem("set-memory", "1T", code=1)
        self.tmem("set-memory", "1k", code=1)
        self.tmem("set-memory", "lots", code=2)

    def test_shutdown(self):
        self.assertIn("alpha", self.tmem("shutdown", code=1))
        self.assertEqual(self.tmem("info", "persistent_pages"), "50\n")
        self.tmem("shutdown", "-f")
        self.assertEqual(self.host.process.wait(PATIENCE_S), 0)
        self.assertIn("start it", self.tmem("list", code=3))

    # ---- the command line itself ----

    def test_help(self):
        text = self.tmem("help")
        self.assertEqual(text, self.tmem("-h"))
        for verb in ("list", "info", "set", "freeze", "thaw", "flush", "destroy", "freeable",
                     "make-room", "shared-auth", "stats", "top", "set-memory", "shutdown", "version",
                     "help"):
            self.assertRegex(text, rf"(?m)^  {verb} ")
            self.assertIn("Usage: tmem " + verb, self.tmem(verb, "-h"))
            self.assertIn("Usage: tmem " + verb, self.tmem("help", verb))
        self.tmem("help", "frobnicate", code=2)

    def test_wrong_usage(self):
        self.assertIn('"frobnicate"', self.tmem("frobnicate", code=2))
        self.tmem(code=2)
        self.tmem("list", "--frob", code=2)
        self.tmem("-s", code=2)

    def test_socket_option_wins_over_the_environment_and_may_follow_the_verb(self):
        other = Host()
        self.addCleanup(other.close)
        self.tmem("freeze", "beta")
        for args in (["-s", other.socket, "list", "beta"], ["list", "beta", "-s", other.socket]):
            self.assertRegex(self.tmem(*args), r"ok\n$")

    def test_no_daemon(self):
        for verb in ("list", "info", "stats", "top"):
            args = [verb, "-b"] if verb == "top" else [verb]
            message = self.tmem("-s", "/nonexistent/socket", *args, code=3)
            self.assertIn("/nonexistent/socket", message)

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([TMEM, "-s", self.host.socket, "list"], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S,
                                  check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write", done.stderr)

    # ---- top -b ----

    def test_top_batch(self):
        text = self.tmem("top", "-b", "-i", "2", "-d", "0.1")
        blocks = text.strip().split("\n\n")
        self.assertEqual(len(blocks), 2)
        for block in blocks:
            lines = block.splitlines()
            self.assertRegex(lines[0], r"^tmem - \d\d:\d\d:\d\d  tmemd \S+ up \S+  4 clients$")
            self.assertRegex(lines[1], r"^MiB: memory 64\.0 held ")
            self.assertEqual(lines[3].split()[:2], ["NAME", "ID"])
            self.assertEqual([line.split()[0] for line in lines[4:]],
                             ["alpha", "beta", "shared", "gamma"])

    def test_top_sorts(self):
        def order(*args):
            lines = self.tmem("top", "-b", "-i", "1", *args).splitlines()[4:-1]
            return [line.split()[0] for line in lines]
        self.assertEqual(order("-o", "i"), ["shared", "gamma", "beta", "alpha"])
        self.assertEqual(order("-o", "i", "-r"), ["alpha", "beta", "gamma", "shared"])
        self.assertEqual(order("-o", "n", "-r"), ["alpha", "beta", "gamma", "shared"])
        self.tmem("top", "-b", "-o", "x", code=2)
        self.tmem("top", "-b", "-d", "0", code=2)
        self.tmem("top", "-b", "-i", "-1", code=2)

    def test_top_json_lines(self):
        lines = self.tmem("--json", "top", "-b", "-i", "2", "-d", "0.1").splitlines()
        self.assertEqual([json.loads(line)["store"]["clients"] for line in lines], [4, 4])

    def test_top_needs_a_terminal(self):
        self.assertIn("-b", self.tmem("top", code=2))

    def test_top_shows_rates(self):
        busy = Host("--busy")
        self.addCleanup(busy.close)
        text = self.tmem("-s", busy.socket, "top", "-b", "-i", "2", "-d", "1")
        beta = re.findall(r"(?m)^beta +.*$", text)[1].split()
        alpha = re.findall(r"(?m)^alpha +.*$", text)[1].split()
        puts, gets, hits = float(beta[7]), float(beta[8]), beta[9]
        self.assertGreater(puts, 0)
        self.assertGreater(gets, 0)
        self.assertEqual(hits, "100.0")
        self.assertEqual(alpha[7:10], ["0", "0", "-"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
