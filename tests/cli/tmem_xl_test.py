#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/tmem-xl with programs in the place of xl and tmem that note how they are called. Argument: the
path of tmem-xl."""
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

TMEM_XL = sys.argv[1]
WEB = "8b5e0f6e-1c3a-4e7e-9f60-0242ac120002"
PATIENCE_S = 30

XL = """#!/bin/sh
[ "$1" != domid ] || { case $2 in web) echo 7 ;; plain) echo 9 ;; *) exit 1 ;; esac; exit; }
[ "$1 $2" != "create -n" ] || { shift 2; echo "$*" > dry_run; cat config; exit; }
[ "$1 $2" != "list -l" ] || { cat config; exit; }
echo "xl $*" >> log
if flock -n lock true; then echo unlocked >> log; fi
[ ! -e slow_xl ] || { : > started; sleep 1; }
[ ! -e migrated ] || : > gone
exit "$(cat xl_status)"
"""
TMEM = """#!/bin/sh
[ ! -e dead ] || exit 3
case "$1 $2" in
  "list -l")
    [ -e gone ] || printf 'name   : web\nid     : 4\ndomid  : 7\nuuid   : %s\ntransport : xen\n\n' WEB
    printf 'name   : local\nid     : 5\ndomid  : 9\nuuid   : other\ntransport : loopback\n' ;;
  "info provider") cat provider ;;
  *) echo "tmem $*" >> log
     case "$1 $2" in
       "evacuate --timeout")
         trap 'echo interrupted >> log; exit 1' TERM
         while [ -e slow ]; do : > started; sleep 0.05; done
         exit "$(cat evacuate_status)" ;;
       "make-room --cancel") ;;
       make-room*) exit "$(cat room_status)" ;;
     esac ;;
esac
""".replace("WEB", WEB)
SSH = """#!/bin/sh
[ "$(cat ssh_status)" = 0 ] || { echo "ssh: no" >&2; exit "$(cat ssh_status)"; }
[ "$2 $3 $4" != "tmem info provider" ] || { cat provider_there; exit; }
echo "ssh $*" >> log
[ "$4" = --cancel ] || exit "$(cat room_status)"
"""


def config(kind, **b_info):
    """A guest's configuration as libxl writes it, but for what does not matter here."""
    lines = ",\n".join(f'        "{key}": {value}' for key, value in b_info.items())
    return f"""{{
    "c_info": {{
        "type": "{kind}",
        "name": "web",
        "uuid": "{WEB}"
    }},
    "b_info": {{
{lines},
        "sched_params": {{ }},
        "type.{kind}": {{ }}
    }},
    "disks": [ {{ "vdev": "xvda" }} ]
}}
"""


class TmemXlTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name, text in (("xl", XL), ("tmem", TMEM), ("ssh", SSH)):
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o755)
        self.set("xl_status", "0")
        self.set("evacuate_status", "0")
        self.set("room_status", "0")
        self.set("ssh_status", "0")
        self.set("provider_there", "pool-domain\n")
        self.set("provider", "pool-domain\n")
        self.set("config", config("pv", max_vcpus=1, max_memkb=131072, target_memkb=131072))
        self.environment = {"PATH": os.environ["PATH"], "XL": "./xl", "TMEM": "./tmem",
                            "SSH": "./ssh", "TMEM_XL_LOCK": "lock"}

    def set(self, name, text=""):
        (self.folder / name).write_text(text)

    def call(self, *args, code=0):
        done = subprocess.run(
            [TMEM_XL, *args], cwd=self.folder, capture_output=True, text=True, check=False,
            timeout=30, env=self.environment)
        self.assertEqual(done.returncode, code, done.stderr)
        self.stderr = done.stderr
        log = self.folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        # Whether others may start guests while xl runs; where it matters a test asks.
        self.unlocked = "unlocked" in lines
        return [line for line in lines if line != "unlocked"]

    def room_of(self, text):
        """The KiB that are asked for a guest."""
        self.set("config", text)
        (self.folder / "log").unlink(missing_ok=True)
        return int(self.call("create", "web.cfg")[0].split()[2].removesuffix("k"))

    def test_a_guest_is_evacuated_before_it_is_migrated(self):
        self.set("migrated")
        self.assertEqual(self.call("migrate", "-C", "file", "--live", "web", "host"),
                         [f"tmem evacuate --timeout 300 {WEB}", "xl migrate -C file --live web host"])

    def test_a_guest_that_goes_on_may_put_pages_again(self):
        self.assertEqual(self.call("save", "-c", "web", "file"),
                         [f"tmem evacuate --timeout 300 {WEB}", "xl save -c web file",
                          f"tmem evacuate --cancel {WEB}"])

    def test_xls_failure_is_told(self):
        self.set("xl_status", "5")
        self.assertEqual(self.call("save", "7", "file", code=5)[1:],
                         ["xl save 7 file", f"tmem evacuate --cancel {WEB}"])

    def test_a_guest_that_cannot_evacuate_is_not_saved(self):
        self.set("evacuate_status", "1")
        self.assertEqual(self.call("save", "web", "file", code=1), [f"tmem evacuate --timeout 300 {WEB}"])

    def interrupt(self, number):
        """Calls tmem-xl save and sends it a signal. Returns its exit status and what was called."""
        process = subprocess.Popen(
            [TMEM_XL, "save", "web", "file"], cwd=self.folder, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + PATIENCE_S
        while not (self.folder / "started").exists():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        process.send_signal(number)
        self.stderr = process.communicate(timeout=PATIENCE_S)[1]
        lines = (self.folder / "log").read_text().splitlines()
        for name in ("started", "log"):
            (self.folder / name).unlink()
        return process.returncode, [line for line in lines if line != "unlocked"]

    def test_an_evacuation_that_is_interrupted(self):
        self.set("slow")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.assertEqual(self.interrupt(number),
                             (1, [f"tmem evacuate --timeout 300 {WEB}", "interrupted",
                                  f"tmem evacuate --cancel {WEB}"]))
            self.assertIn("interrupted", self.stderr)

    def test_a_signal_while_xl_saves(self):
        self.set("slow_xl")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.assertEqual(self.interrupt(number),
                             (0, [f"tmem evacuate --timeout 300 {WEB}", "xl save web file",
                                  f"tmem evacuate --cancel {WEB}"]))

    def test_a_guest_without_tmem(self):
        self.assertEqual(self.call("save", "plain", "file"), ["xl save plain file"])

    def test_nothing_is_done_without_a_daemon(self):
        self.set("dead")
        self.assertEqual(self.call("save", "web", "file", code=1), [])

    def test_a_domain_that_does_not_exist(self):
        self.assertEqual(self.call("save", "nobody", "file", code=1), [])

    # ---- create and restore ----

    def test_room_is_made_before_a_guest_is_created(self):
        self.assertEqual(self.call("create", "web.cfg", 'name="other"'),
                         ["tmem make-room 139264k --wait=60", 'xl create web.cfg name="other"',
                          "tmem make-room --cancel"])
        self.assertEqual((self.folder / "dry_run").read_text(), 'web.cfg name="other"\n')
        self.assertFalse(self.unlocked)
        self.environment["TMEM_ROOM_TIMEOUT"] = "5"
        self.assertEqual(self.call("create", "web.cfg")[3], "tmem make-room 139264k --wait=5")

    def test_what_a_guest_needs(self):
        def kib(need):  # libxl rounds up to 2 MiB; 4 MiB are Xen's own
            return (need + 2047) // 2048 * 2048 + 4096
        mib = 1024
        self.assertEqual(self.room_of(config("pv", max_vcpus=2, max_memkb=1024 * mib,
                                             target_memkb=512 * mib)),
                         kib(512 * mib + 4 * (2 * 256 + 1024) + 1024))
        # Without HAP for all we know; with it; with paging memory of the administrator's choice.
        hvm = {"max_vcpus": 4, "max_memkb": 2048 * mib, "target_memkb": 2048 * mib}
        self.assertEqual(self.room_of(config("hvm", **hvm)),
                         kib(2048 * mib + 4 * (4 * 256 + 2 * 2048) + 2048))
        self.assertEqual(self.room_of(config("pvh", **hvm).replace(
            '"name"', '"hap": "True", "name"')), kib(2048 * mib + 4 * (4 * 256 + 2048) + 2048))
        self.assertEqual(self.room_of(config("hvm", **hvm, shadow_memkb=9 * mib)),
                         kib(2048 * mib + 9 * mib + 2048))
        # What libxl writes of values left to it.
        self.assertEqual(self.room_of(config("hvm", **hvm, shadow_memkb=2**64 - 1)),
                         self.room_of(config("hvm", **hvm)))
        self.assertEqual(
            self.room_of(config("hvm", **hvm, shadow_memkb=0, iommu_memkb=0, stubdomain_memkb=7,
                                video_memkb=16, device_model_stubdomain='"True"')),
            kib(2048 * mib + 2048 + 7 + 16))
        # Of four terabytes; and in one line.
        huge = config("pvh", max_vcpus=1, max_memkb=2**32, target_memkb=2**32, shadow_memkb=0)
        self.assertEqual(self.room_of(huge), kib(2**32 + 2048))
        self.assertEqual(self.room_of(" ".join(huge.split())), kib(2**32 + 2048))
        self.assertGreater(self.room_of(config("pvh", **hvm).replace('"disks"', '"pcidevs"')),
                           self.room_of(config("pvh", **hvm)) + 4 * mib)

    def test_without_room_no_guest_is_started(self):
        self.set("room_status", "1")
        self.assertEqual(self.call("create", "web.cfg", code=1),
                         ["tmem make-room 139264k --wait=60"])
        self.assertIn("136 MiB", self.stderr)

    def test_xls_failure_to_create_is_told(self):
        self.set("xl_status", "7")
        self.assertEqual(self.call("create", "web.cfg", code=7)[1:],
                         ["xl create web.cfg", "tmem make-room --cancel"])

    def test_a_console_does_not_keep_others_from_starting(self):
        for option in ("-c", "-F", "-pc"):
            self.assertEqual(self.call("create", option, "web.cfg")[-1], f"xl create {option} web.cfg")
            self.assertTrue(self.unlocked)

    def test_a_dry_run_makes_no_room(self):
        self.set("room_status", "1")
        for option in ("-n", "-qn", "--dryrun"):
            self.assertEqual([line for line in self.call("create", "web.cfg", option)
                              if line.startswith("tmem")], [])
        self.call("create", "-fnew.cfg", code=1)
        self.assertIn("136 MiB", self.stderr)

    def test_a_folder_with_the_name_of_the_command(self):
        (self.folder / "create").mkdir()
        self.assertEqual(self.call("create", "web.cfg")[0], "tmem make-room 139264k --wait=60")

    def test_a_lock_that_cannot_be_had(self):
        self.environment["TMEM_XL_LOCK"] = "nowhere/lock"
        self.assertEqual(self.call("create", "web.cfg"),
                         ["tmem make-room 139264k --wait=60", "xl create web.cfg",
                          "tmem make-room --cancel"])
        self.assertIn("nowhere/lock", self.stderr)
        self.assertEqual(self.stderr.count("\n"), 1)

    def test_guests_start_where_there_is_no_pool_to_ask(self):
        self.set("provider", "memfd\n")
        self.assertEqual(self.call("create", "web.cfg"), ["xl create web.cfg"])
        self.assertIn("memfd", self.stderr)
        self.assertEqual(self.stderr.count("\n"), 1)
        self.set("dead")
        self.assertEqual(self.call("create", "web.cfg")[1:], ["xl create web.cfg"])

    def test_a_daemon_that_goes_meanwhile(self):
        self.set("room_status", "3")
        self.assertEqual(self.call("create", "web.cfg")[1], "xl create web.cfg")

    def test_a_configuration_that_xl_refuses(self):
        for text in ("", "parse error\n", '{"b_info": {"max_vcpus": 1}}'):
            self.set("config", text)
            self.set("xl_status", "1")
            self.assertEqual(self.call("create", "web.cfg", code=1)[-1], "xl create web.cfg")
            self.assertIn("cannot tell", self.stderr)

    def test_a_pipe_is_left_for_xl_to_read(self):
        os.mkfifo(self.folder / "pipe")
        for verb in ("create", "restore"):
            self.assertEqual(self.call(verb, "pipe")[-1], f"xl {verb} pipe")
            self.assertIn("cannot tell", self.stderr)

    def save_file(self, text, magic=b"Xen saved domain, xl format\n \0 \r"):
        data = text.encode() + b"\0"
        header = magic + struct.pack("=IIII", 0x01020304, 3, 0, len(data) + 4)
        (self.folder / "web.save").write_bytes(
            header + struct.pack("=I", len(data)) + data + b'"target_memkb": 4\n' * 1000)

    def test_room_is_made_before_a_guest_is_restored(self):
        self.save_file(config("pv", max_vcpus=1, max_memkb=262144, target_memkb=131072,
                              shadow_memkb=1536))
        self.assertEqual(self.call("restore", "-p", "web.save"),
                         ["tmem make-room 139264k --wait=60", "xl restore -p web.save",
                          "tmem make-room --cancel"])

    def test_files_that_xl_did_not_save(self):
        self.save_file("{}", magic=bytes(32))
        self.assertEqual(self.call("restore", "web.save"), ["xl restore web.save"])
        for data in (b"", b"Xen saved domain, xl format\n \0 \r", None):
            if data is not None:
                (self.folder / "web.save").write_bytes(data)
            self.assertEqual(self.call("restore", "web.save" if data is not None else "none")[-1][:10],
                             "xl restore")
            self.assertIn("cannot tell", self.stderr)

    def test_room_on_the_other_host(self):
        self.environment["TMEM_XL_MAKE_ROOM"] = "ssh"
        self.assertEqual(self.call("migrate", "web", "host"),
                         [f"tmem evacuate --timeout 300 {WEB}", "ssh host tmem make-room 139264k --wait=60",
                          "xl migrate web host", "ssh host tmem make-room --cancel",
                          f"tmem evacuate --cancel {WEB}"])
        self.set("xl_status", "5")
        self.assertEqual(self.call("migrate", "web", "host", code=5)[7:],
                         ["xl migrate web host", "ssh host tmem make-room --cancel",
                          f"tmem evacuate --cancel {WEB}"])
        self.set("room_status", "1")
        self.assertEqual(self.call("migrate", "web", "host", code=1)[10:],
                         [f"tmem evacuate --timeout 300 {WEB}", "ssh host tmem make-room 139264k --wait=60",
                          f"tmem evacuate --cancel {WEB}"])
        self.assertIn("136 MiB", self.stderr)

    def test_another_host_that_makes_no_room(self):
        self.environment["TMEM_XL_MAKE_ROOM"] = "ssh"

        def goes_on(*asked):
            (self.folder / "log").unlink(missing_ok=True)
            self.assertEqual(self.call("migrate", "plain", "host"), [*asked, "xl migrate plain host"])
            self.assertEqual(self.stderr.count("\n"), 1)
        for status in ("3", "127", "255"):  # no tmemd, no tmem, no way there
            self.set("ssh_status", status)
            goes_on()
        self.set("ssh_status", "0")
        self.set("provider_there", "memfd\n")
        goes_on()
        self.assertIn("memfd", self.stderr)
        self.set("provider_there", "pool-domain\n")
        self.set("room_status", "3")
        goes_on("ssh host tmem make-room 139264k --wait=60")
        self.set("config", "")
        goes_on()

    # ---- everything else ----

    def test_other_commands_are_passed_on(self):
        self.assertEqual(self.call("pause", "web"), ["xl pause web"])
        self.assertEqual(self.call("save"), ["xl pause web", "xl save"])
        self.call(code=2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
