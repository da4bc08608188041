#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tmem-guestd on a fake /proc and /sys, against a xenstored written here. Argument: the program."""
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

GUESTD = sys.argv[1]
READ, WATCH, WRITE, EVENT, ERROR = 2, 4, 11, 15, 16
LIMIT_S = 20
XEN_MEMORY = "sys/devices/system/xen_memory/xen_memory0"


def wait_for(what, condition, limit_s=LIMIT_S):
    end = time.monotonic() + limit_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit_s} s")
        time.sleep(0.01)
    return value


class Xenstored:
    """One guest's half of a xenstored at a UNIX socket. `nodes` is what dom0 wrote."""

    def __init__(self, path):
        self.path = path
        self.nodes = {}
        self.refuse = {}  # path: name of an error
        self.silent = False
        self.reports = []  # (time, text)
        self.requests = []
        self.watches = []
        self.connections = 0
        self.early = 0  # requests that came before the answer to the one before
        self.lock = threading.Lock()
        self.client = None
        self.start()

    def start(self):
        self.path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, args=(self.listener,), daemon=True)
        self.thread.start()

    def stop(self):
        # A shutdown wakes accept() and recv(); a close alone does not.
        for end in (self.listener, self.client):
            if end is not None:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.thread.join(LIMIT_S)
        self.listener.close()
        self.client = None

    def serve(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.client, self.watches = client, []
                self.connections += 1
            with client:
                while self.serve_one(client):
                    pass

    @staticmethod
    def take(client, length):
        data = b""
        while len(data) < length:
            try:
                more = client.recv(length - len(data))
            except OSError:
                more = b""
            if not more:
                return None
            data += more
        return data

    def serve_one(self, client):
        header = self.take(client, 16)
        if header is None:
            return False
        kind, request, transaction, length = struct.unpack("=IIII", header)
        body = self.take(client, length)
        if body is None:
            return False
        path, _, value = body.partition(b"\0")
        path = path.decode()
        with self.lock:
            self.requests.append((kind, path))
            if self.silent:
                return True
            time.sleep(0.005)
            try:
                self.early += len(client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
            except BlockingIOError:
                pass
            kind, answer = self.answer(kind, path, value.decode())
            try:
                client.sendall(struct.pack("=IIII", kind, request, transaction, len(answer)) + answer)
                if kind == WATCH:
                    self.event(path)
            except OSError:
                return False
        return True

    def answer(self, kind, path, value):
        if path in self.refuse and kind != WATCH:
            return ERROR, self.refuse[path].encode() + b"\0"
        if kind == WATCH:
            self.watches.append(path)
        elif kind == READ:
            if path not in self.nodes:
                return ERROR, b"ENOENT\0"
            return READ, self.nodes[path].encode()
        elif kind == WRITE:
            self.reports.append((time.monotonic(), value))
        return kind, b"OK\0"

    def event(self, path):
        body = path.encode() + b"\0t\0"
        self.client.sendall(struct.pack("=IIII", EVENT, 0, 0, len(body)) + body)

    def set(self, **nodes):
        """mode=, min_kib=, max_kib= below tmem; target= is memory/target. None removes."""
        with self.lock:
            for name, value in nodes.items():
                path = "memory/target" if name == "target" else f"tmem/{name}"
                self.nodes[path] = str(value)
                if value is None:
                    del self.nodes[path]
            for watch in self.watches:
                self.event(watch)

    def last(self):
        return self.reports[-1][1] if self.reports else ""


class Guest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="guestd.")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.total_kib = 200000
        self.meminfo = {"MemTotal": 200000, "MemFree": 20000, "MemAvailable": 80000, "Buffers": 10,
                        "Cached": 70000, "SwapTotal": 60000, "SwapFree": 60000, "AnonPages": 50000,
                        "Shmem": 10, "Committed_AS": 80000}
        self.write("proc/meminfo", self.meminfo_text())
        self.write("proc/vmstat", "workingset_refault_file 7\npswpin 3\n")
        self.write("proc/uptime", "100.25 1.00\n")
        self.write("proc/zoneinfo", "Node 0, zone DMA\n high 1000\n managed 50000\n"
                                    " protection: (0, 0)\n")
        self.set_pressure(0)
        self.write("sys/hypervisor/guest_type", "PV\n")
        self.write(f"{XEN_MEMORY}/target_kb", "230000\n")
        self.write(f"{XEN_MEMORY}/info/current_kb", "230000\n")
        (self.root / "run").mkdir()
        self.store = Xenstored(self.root / "xenbus")
        self.addCleanup(self.store.stop)
        self.agent = None
        self.said = ""

    def write(self, name, text):
        """In place and in one go, as the agent keeps its files open."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        # Never shorter than before: spaces fill up.
        os.pwrite(file, text.rstrip("\n").ljust(os.fstat(file).st_size - 1).encode() + b"\n", 0)
        os.close(file)

    def meminfo_text(self):
        return "".join(f"{key}: {value:15} kB\n" for key, value in self.meminfo.items())

    def set_meminfo(self, **values):
        self.meminfo.update(values)
        self.write("proc/meminfo", self.meminfo_text())

    def set_pressure(self, some_us):
        self.write("proc/pressure/memory",
                   f"some avg10=0.00 avg60=0.00 avg300=0.00 total={some_us:012}\n"
                   f"full avg10=0.00 avg60=0.00 avg300=0.00 total={some_us // 2:012}\n")

    def target_kib(self):
        return int((self.root / XEN_MEMORY / "target_kb").read_text())

    def balloon(self):
        """The kernel's part: what was asked for is there."""
        moved = self.target_kib() - int((self.root / XEN_MEMORY / "info/current_kb").read_text())
        self.write(f"{XEN_MEMORY}/info/current_kb", f"{self.target_kib()}\n")
        self.set_meminfo(MemTotal=self.meminfo["MemTotal"] + moved)

    def start(self, *options):
        self.log = open(self.root / "log", "a", encoding="utf-8")
        self.addCleanup(self.log.close)
        self.agent = subprocess.Popen([GUESTD, "--root", self.root, "--xenbus", self.store.path,
                                       *options], stderr=self.log)
        self.addCleanup(self.end)

    def end(self):
        if self.agent.poll() is None:
            self.agent.terminate()
        status = self.agent.wait(LIMIT_S)
        if status != 0:
            raise AssertionError(f"the agent ended with {status}: {self.words()}")

    def words(self):
        return (self.root / "log").read_text()

    def wait_words(self, pattern):
        return wait_for(f"'{pattern}' in the log", lambda: re.search(pattern, self.words()))

    def wait_report(self, pattern, limit_s=LIMIT_S):
        return wait_for(f"a report with '{pattern}', not {self.store.last()}",
                        lambda: re.search(pattern, self.store.last()), limit_s)

    def guest_mode(self, minimum=100000, maximum=260000, target=230000):
        self.store.set(mode="guest", min_kib=minimum, max_kib=maximum, target=target)
        self.wait_report(" mode=1")


class Reports(Guest):
    def test_a_report_holds_what_proc_says(self):
        self.set_pressure(1234)
        self.start()
        self.wait_report("^1 seq=1 ")
        self.assertEqual(
            self.store.last(),
            "1 seq=1 up_ms=100250 total_kib=200000 free_kib=20000 avail_kib=80000 cache_kib=70010 "
            "anon_kib=50000 commit_kib=80000 reserve_kib=4000 swap_kib=0 swap_free_kib=60000 "
            "refault=7 swapin=3 some_us=1234 full_us=617 urgent=0 back=0 mode=0")
        self.assertLess(len(self.store.last()), 512)

    def test_heartbeats_while_calm_and_each_second_while_memory_moves(self):
        self.start("--interval", "4")
        self.wait_report(" seq=3 ")
        beats = [at for at, _ in self.store.reports]
        self.assertGreater(beats[2] - beats[1], 3)
        self.set_meminfo(Committed_AS=120000)
        self.wait_report(" seq=6 ", 8)
        self.assertIn(" commit_kib=120000 ", self.store.last())
        times = [at for at, _ in self.store.reports]
        self.assertLess(times[5] - times[3], 3.5)

    def test_an_alarm_is_reported_at_once_but_not_more_than_four_times_a_second(self):
        self.start("--interval", "60")
        self.wait_report(" seq=1 ")
        begin, seen = time.monotonic(), len(self.store.reports)
        while time.monotonic() < begin + 1:
            self.agent.send_signal(signal.SIGUSR1)
            time.sleep(0.005)
        urgent = [at for at, _ in self.store.reports[seen:]]
        self.assertGreaterEqual(len(urgent), 3)
        self.assertLessEqual(len(urgent), 5)
        self.assertLess(urgent[0] - begin, 0.5)
        self.assertTrue(all(b - a > 0.2 for a, b in zip(urgent, urgent[1:])), urgent)
        self.assertRegex(self.store.last(), " urgent=[1-9]")

    def test_once_needs_no_xen(self):
        (self.root / "proc/pressure/memory").unlink()
        done = subprocess.run([GUESTD, "--root", self.root, "--once"], capture_output=True,
                              text=True, check=True, timeout=LIMIT_S)
        self.assertRegex(done.stdout, r"^1 seq=1 .* swapin=3 urgent=0 back=0 mode=0\n$")
        self.assertEqual(done.stderr.count("/proc/pressure/memory"), 1)

    def test_without_psi_it_says_so_once_and_goes_on(self):
        (self.root / "proc/pressure/memory").unlink()
        self.start("--interval", "1")
        self.wait_report(" seq=3 ")
        self.assertNotIn("some_us", self.store.last())
        self.assertEqual(self.words().count("/proc/pressure/memory"), 1)

    def test_fields_that_go_missing_are_named_once_and_may_come_back(self):
        self.start("--interval", "1")
        self.wait_report(" seq=1 ")
        committed = self.meminfo.pop("Committed_AS")
        self.write("proc/meminfo", self.meminfo_text())
        self.wait_words("no Committed_AS")
        count = len(self.store.reports)
        time.sleep(1.5)
        self.assertLessEqual(len(self.store.reports), count + 1)
        self.set_meminfo(Committed_AS=committed)
        wait_for("another report", lambda: len(self.store.reports) > count + 1)
        self.assertEqual(self.words().count("Committed_AS"), 1)


class Shrinking(Guest):
    def test_pages_of_a_process_are_read_when_it_has_been_calm(self):
        """What is in swap is made up; the process, its memory and the reading are real."""
        idle = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(idle.wait)
        self.addCleanup(idle.kill)
        real = pathlib.Path(f"/proc/{idle.pid}")
        stack = wait_for("a stack", lambda: [line for line in (real / "maps").read_text().splitlines()
                                             if line.endswith("[stack]")])[0]
        begin, end = (int(part, 16) for part in stack.split()[0].split("-"))
        top = end // 4096 - 1  # the one that is there
        self.write(f"proc/{idle.pid}/status", "VmSwap: 4 kB\n")
        self.write(f"proc/{idle.pid}/maps", stack + "\n")
        with open(self.root / f"proc/{idle.pid}/pagemap", "wb") as pagemap:
            pagemap.seek(top * 8)
            pagemap.write(struct.pack("=Q", 1 << 62))
        self.assertLess(begin // 4096, top)
        self.write("proc/swaps", "Filename Type Size Used Priority\n"
                                 "/dev/tmemswap0 partition 4096 96 -2\n")
        self.write("sys/kernel/tmem/state", "connected\n")
        self.write("sys/kernel/tmem/swap/pool_pages", "1\n")
        self.set_meminfo(SwapTotal=4096, SwapFree=4000)
        self.write("proc/vmstat", "workingset_refault_file 7\npswpin 30\npswpout 9\n")
        self.start("--interval", "1")
        self.wait_report(" swapin=30 .* back=0 ")
        self.wait_report(" swapin=29 .* back=1 ", 40)
        self.assertGreater(self.store.reports[-1][0] - self.store.reports[0][0], 14)

    def test_how_much_at_most_is_a_number_of_mib(self):
        for value in ("-1", "1025", "many", ""):
            done = subprocess.run([GUESTD, "--shrink", value], capture_output=True, text=True,
                                  check=False, timeout=LIMIT_S)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, "--shrink is a number of MiB a second from 0 to 1024")


class Store(Guest):
    def test_without_xenbus_it_ends_and_says_what_to_do(self):
        done = subprocess.run([GUESTD, "--root", self.root], capture_output=True, text=True,
                              check=False, timeout=LIMIT_S)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, "dev/xen/xenbus: No such file.*in a guest of Xen")

    def test_xenbus_of_an_old_kernel(self):
        old = self.root / "proc/xen/xenbus"
        old.parent.mkdir()
        old.symlink_to(self.store.path)
        self.agent = subprocess.Popen([GUESTD, "--root", self.root])
        self.addCleanup(self.end)
        (self.root / "log").touch()
        self.wait_report(" seq=1 ")

    def test_a_refused_report_says_what_dom0_must_do_and_is_tried_ever_more_rarely(self):
        self.store.refuse["data/tmem/report"] = "EACCES"
        self.start("--interval", "1")
        self.wait_words("EACCES; in dom0.*xenstore-chmod")
        time.sleep(4)
        tried = [path for _, path in self.store.requests if path == "data/tmem/report"]
        self.assertLessEqual(len(tried), 4)
        self.assertEqual(self.words().count("EACCES"), 1)
        self.store.refuse.clear()
        self.wait_words("reports are taken again")
        self.wait_report("^1 seq=")

    def test_a_full_quota(self):
        self.store.refuse["data/tmem/report"] = "ENOSPC"
        self.start()
        self.wait_words("ENOSPC; this guest's xenstore quota is used up")

    def test_words_of_a_hostile_xenstored_do_not_reach_the_log(self):
        self.store.refuse["data/tmem/report"] = "E\n\x1b[31mroot: all is well"
        self.start()
        self.wait_words("an unknown error")
        self.assertNotIn("all is well", self.words())

    def test_a_xenstored_that_restarts(self):
        self.start("--interval", "1")
        self.wait_report(" seq=2 ")
        self.store.stop()
        self.wait_words("connection to xenstore is lost")
        time.sleep(2.5)
        self.store.reports.clear()
        self.store.start()
        self.wait_report("^1 seq=")
        self.guest_mode()  # the watches are there again
        self.assertEqual(self.words().count("is lost"), 1)

    def test_a_xenstored_that_is_silent_and_comes_back(self):
        self.start("--interval", "1")
        self.wait_report(" seq=1 ")
        self.store.silent = True
        self.wait_words("xenstored does not answer")
        self.store.silent = False
        self.wait_words("reports are taken again")

    def test_one_request_at_a_time(self):
        """The kernel's device keeps no second one apart from the first."""
        self.start("--interval", "1")
        self.wait_report(" seq=1 ")
        for i in range(20):
            self.store.set(mode=("host", "guest")[i % 2], min_kib=100000, max_kib=240000 + i)
            self.agent.send_signal(signal.SIGUSR1)
            time.sleep(0.05)
        self.wait_report(" seq=[4-9] ")
        self.assertGreater(len(self.store.requests), 20)
        self.assertEqual(self.store.early, 0)

    def test_settings_that_may_not_be_read(self):
        self.store.refuse["tmem/mode"] = "EACCES"
        self.start()
        self.wait_words("may not read it.*xenstore-chmod")
        self.wait_report(" mode=0")

    def test_settings_that_may_not_be_read_any_more_stay_as_they_were(self):
        self.start("--interval", "1")
        self.guest_mode()
        self.store.refuse["tmem/mode"] = "EACCES"
        self.store.set(max_kib=250000)
        self.wait_words("may not read it.*xenstore-chmod")
        self.store.reports.clear()
        self.wait_report(" mode=1")


class GuestMode(Guest):
    def test_in_host_mode_the_balloon_is_dom0s(self):
        self.start("--interval", "1")
        self.wait_report(" seq=2 .* mode=0")
        self.store.set(mode="host", min_kib=1000, max_kib=300000, target=230000)
        self.set_pressure(900000)
        self.agent.send_signal(signal.SIGUSR1)
        self.wait_report(" seq=5 .* mode=0")
        self.assertEqual(self.target_kib(), 230000)

    def test_taking_over_and_handing_back_are_reported_at_once(self):
        self.start("--interval", "60")
        self.wait_report(" mode=0")
        self.guest_mode()
        # Committed 80000, reserve 4000, a tenth of 200000; an eighth of the way there.
        wait_for("a smaller target", lambda: self.target_kib() == 230000 - 96000 // 8)
        self.store.set(mode="host")
        self.wait_report(" mode=0", 5)
        before = self.target_kib()
        self.set_meminfo(Committed_AS=190000)
        self.agent.send_signal(signal.SIGUSR1)
        time.sleep(2)
        self.assertEqual(self.target_kib(), before)
        self.store.set(mode="guest")
        self.wait_report(" mode=1", 5)
        self.store.set(mode=None)  # the node is gone: host
        self.wait_report(" mode=0", 5)

    def test_up_at_once_when_more_is_committed(self):
        self.start()
        self.guest_mode()
        self.balloon()
        self.set_meminfo(Committed_AS=200000)
        wait_for("all of it", lambda: self.target_kib() == 200000 + 4000 + 20000 + 30000, 3)

    def test_pressure_grows_it_and_bounds_end_that(self):
        self.start()
        self.guest_mode(maximum=240000)
        wait_for("a smaller target", lambda: self.target_kib() < 230000)
        stalled_us, seen = 0, set()
        for _ in range(60):
            stalled_us += 100000
            self.set_pressure(stalled_us)
            self.balloon()
            seen.add(self.target_kib())
            if 240000 in seen:
                break
            time.sleep(0.25)
        self.assertIn(240000, seen)
        self.assertLessEqual(max(seen), 240000)

    def test_never_outside_the_bounds_whatever_happens(self):
        self.start()
        self.guest_mode(minimum=210000, maximum=220000)
        seen = {wait_for("a target", lambda: self.target_kib() != 230000 and self.target_kib())}
        for i in range(12):
            self.set_meminfo(Committed_AS=(1, 10 ** 15, 80000)[i % 3])
            self.set_pressure(i * 10 ** 6)
            self.agent.send_signal(signal.SIGUSR1)
            time.sleep(0.25)
            seen.add(self.target_kib())
        self.assertGreaterEqual(min(seen), 210000)
        self.assertLessEqual(max(seen), 220000)
        self.assertGreater(len(seen), 1)

    def test_new_bounds_are_kept_at_once_and_memory_target_is_one(self):
        self.start()
        self.set_meminfo(Committed_AS=500000)
        self.guest_mode(maximum=240000)
        wait_for("the maximum", lambda: self.target_kib() == 240000)
        self.store.set(max_kib=236000)
        wait_for("the lower maximum", lambda: self.target_kib() == 236000, 2)
        self.store.set(target=220000)
        wait_for("dom0's word", lambda: self.target_kib() == 220000, 2)
        self.store.set(max_kib=238000)
        wait_for("the new maximum", lambda: self.target_kib() == 238000, 2)
        self.store.set(max_kib=250000, target=221000)
        wait_for("dom0's word again", lambda: self.target_kib() == 221000, 2)

    def test_dom0s_order_outlives_the_agent_but_not_guest_mode(self):
        self.start()
        self.set_meminfo(Committed_AS=500000)
        self.guest_mode(maximum=240000)
        self.store.set(target=220000)
        wait_for("dom0's word", lambda: self.target_kib() == 220000)
        self.end()
        self.write(f"{XEN_MEMORY}/target_kb", "219000\n")
        self.start()
        wait_for("dom0's word still", lambda: self.target_kib() == 220000)
        self.store.set(mode="host")
        self.wait_report(" mode=0")
        self.store.set(mode="guest")
        wait_for("the maximum", lambda: self.target_kib() == 240000)

    def test_without_bounds_there_is_no_guest_mode(self):
        self.start("--interval", "1")
        for settings in ({}, {"min_kib": 9000}, {"max_kib": 8000},
                         {"max_kib": "99999999999999999999999"}, {"min_kib": "-1", "max_kib": 10}):
            count = self.words().count("are no range")
            self.store.set(mode="guest", **settings)
            wait_for("a complaint", lambda c=count: self.words().count("are no range") > c)
        self.wait_report(" seq=3 .* mode=0")
        self.assertEqual(self.target_kib(), 230000)

    def test_without_a_balloon(self):
        (self.root / XEN_MEMORY / "target_kb").unlink()
        self.start("--interval", "1")
        self.store.set(mode="guest", min_kib=100000, max_kib=240000)
        self.wait_words("balloon cannot be used.*No such file")
        self.wait_report(" seq=3 .* mode=0")

    def test_hvm_guests_count_differently_than_dom0_also_after_a_restart(self):
        self.write("sys/hypervisor/guest_type", "PVH\n")
        self.set_meminfo(Committed_AS=500000)
        self.start()
        self.guest_mode(maximum=250000, target=234000)  # the kernel says 230000
        wait_for("dom0's maximum, less the difference", lambda: self.target_kib() == 246000)
        self.agent.kill()
        self.agent.wait(LIMIT_S)
        self.store.reports.clear()
        self.start()
        self.wait_report(" mode=1")
        self.store.set(max_kib=248000)
        wait_for("the same difference", lambda: self.target_kib() == 244000)


class Program(Guest):
    def test_it_is_small(self):
        self.assertLess(os.path.getsize(GUESTD), 1 << 20)
        with open(GUESTD, "rb") as file:
            self.assertNotIn(b"/lib64/ld-linux", file.read(4096))  # static

    def test_it_costs_nothing_while_calm(self):
        for name in ("meminfo", "vmstat", "zoneinfo", "uptime", "pressure/memory"):
            path = self.root / "proc" / name
            path.unlink()
            path.symlink_to(f"/proc/{name}")
        self.start()
        self.wait_report(" seq=1 ")
        ticks = self.cpu_ns()
        begin = time.monotonic()
        time.sleep(20)
        ratio = (self.cpu_ns() - ticks) / 1e9 / (time.monotonic() - begin)
        print(f"cpu_percent={ratio * 100:.4f} reports={len(self.store.reports)}", file=sys.stderr)
        self.assertLess(ratio, 0.001)

    def cpu_ns(self):
        """What the scheduler gave it: /proc/PID/stat counts in steps of 10 ms."""
        return int(pathlib.Path(f"/proc/{self.agent.pid}/schedstat").read_text().split()[0])

    def test_options(self):
        def run(*options):
            return subprocess.run([GUESTD, *options], capture_output=True, text=True, check=False,
                                  timeout=LIMIT_S)
        self.assertRegex(run("--version").stdout, r"^tmem-guestd [0-9.]+\n$")
        for option in ("--once", "--interval", "--xenbus", "--root"):
            self.assertIn(option, run("--help").stdout)
        for wrong in (("--interval", "0"), ("--interval", "61"), ("--interval", "1x"), ("--root",),
                      ("--what",), ("--what", "x")):
            done = run(*wrong)
            self.assertEqual(done.returncode, 2, wrong)
            self.assertIn("--help", done.stderr)


def run_side_by_side():
    """Each class in a process of its own: they mostly wait."""
    children = [subprocess.Popen([sys.executable, *sys.argv, test_class.__name__])
                for test_class in Guest.__subclasses__()]
    return max([child.wait() for child in children])


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.exit(run_side_by_side())
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
