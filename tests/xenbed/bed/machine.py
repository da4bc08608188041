# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated host: QEMU with Xen and dom0, and the conversation with dom0.

Two channels: the serial line carries Xen's and dom0's console, kept for people; the virtio port
"bed" carries lines of text. Orders to dom0: `run NAME LIMIT_S [keep]`, `shell`, `off`. From dom0: `ready`,
`begin NAME`, `count KEY VALUE`, `json PREFIX DOCUMENT`, `fail TEXT`, `log TEXT`, `stage TEXT`,
`end NAME ...`.
"""
import contextlib
import json
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from .common import BedError, say

# Each of the three turns off a feature that QEMU 7.2's emulation gets wrong under Xen:
#   smap    dom0 dies in its first instructions (IRET between ring 3 frames faults)
#   xsave   vector registers are corrupted when Xen switches CPUs, seldom and silently
#   rdtscp  PVH guests die ("SVM Insn len emulation failed")
# Without xsave there is no AVX: what runs in the bed must not be compiled for it.
CPU = "max,-smap,-rdtscp,-xsave"
# The host's clock counts its instructions, 4 ns each, and follows ours only while the host is idle. So its
# times are the same however fast this machine is and whatever else it does; timers, time slices and
# time-outs keep their proportion to the work.
ONE_CPU = ("-accel", "tcg,thread=single", "-icount", "shift=2,sleep=on")
# Where CPUs shall work side by side its clock has to be ours: QEMU 7.2 shares counted instructions
# unevenly among CPUs.
MANY_CPUS = ("-accel", "tcg,thread=multi")
# Where dom0 has a CPU of our own host to itself (see _place), it is never idle: an idle one would be woken by way of
# our kernel. A program that fills the time instead competes with dom0's others.
OWN_CPU_ARGUMENTS = " idle=poll"
BOOT_LIMIT_S = 600
OFF_LIMIT_S = 60
# A scenario's limit is the host's time, enforced in dom0. Ours may be longer by this factor; then comes
# what is needed to clean up and collect logs.
SLOWNESS_MAX = 4
GRACE_S = 120
SHELL_ENDED = "shell-ended"


class Machine:
    """One boot. Use as a context manager: what is still running at its end is killed."""

    def __init__(self, images, disks, scenarios, console_log):
        self.console_log = Path(console_log)
        self.folder = tempfile.TemporaryDirectory(prefix="xenbed-")
        self.lines = queue.Queue()
        self.start = time.monotonic()
        self.process = None
        try:
            self._launch(images, disks, scenarios)
        except BaseException:
            self.close()
            raise

    def _launch(self, images, disks, scenarios):
        cpus, host_mib, dom0_mib = (max(getattr(scenario, size) for scenario in scenarios)
                                    for size in ("cpus", "host_mib", "dom0_mib"))
        address = f"{self.folder.name}/bed.sock"
        command = [
            "qemu-system-x86_64", "-machine", "pc", "-cpu", CPU,
            *(ONE_CPU if cpus == 1 else MANY_CPUS),
            "-smp", str(cpus), "-m", str(host_mib), "-display", "none",
            "-name", "bed,debug-threads=on", "-nodefaults", "-no-reboot",
            "-serial", "stdio", "-kernel", str(images.xen),
            "-append", "com1=115200,8n1 console=com1 loglvl=warning guest_loglvl=warning "
                       f"sched_ratelimit_us=1000 dom0_mem={dom0_mib}M,max:{dom0_mib}M "
                       # Of several CPUs dom0 has the first one.
                       "dom0_max_vcpus=1 dom0_vcpus_pin",
            # A comma would end the kernel's arguments.
            "-initrd", f"{images.kernel} console=hvc0 quiet panic=-1{OWN_CPU_ARGUMENTS if cpus > 2 else ''},"
                       f"{images.dom0}",
            "-chardev", f"socket,id=bed,path={address},server=on,wait=on",
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=bed,name=bed"]
        for number, (name, path) in enumerate(disks):
            command += ["-drive", f"file={path},format=raw,if=none,id=d{number},snapshot=on",
                        "-device", f"virtio-blk-pci,drive=d{number},serial={name}"]
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": self.folder.name})
        except FileNotFoundError as error:
            raise BedError("qemu-system-x86_64 is missing; run tools/setup") from error
        threading.Thread(target=self._keep_console, daemon=True).start()
        self.port = self._connect(address)
        self.cpus = cpus
        threading.Thread(target=self._read_port, daemon=True).start()

    def _connect(self, address):
        """QEMU waits for us before it starts the machine, so no line can be lost."""
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            port = socket.socket(socket.AF_UNIX)
            try:
                port.connect(address)
                return port
            except OSError:
                port.close()
                time.sleep(0.05)
        raise BedError(f"QEMU does not start; see {self.console_log}")

    def _place(self):
        """dom0 has a CPU of our own host, the guests another, or one each if there are as many. Where the kernel
        moves them, a phase may be thrice as fast as the next. If they share one, what runs on the last has what the others
        leave, and gives it back at once: of a low priority alone it would keep it for milliseconds."""
        host = sorted(os.sched_getaffinity(0))
        threads = {}
        for comm in Path(f"/proc/{self.process.pid}/task").glob("*/comm"):
            name = comm.read_text("ascii").rstrip("\n")
            if name.startswith("CPU ") and name.endswith("/TCG"):
                threads[int(name[4:-4])] = int(comm.parent.name)
        if sorted(threads) != list(range(self.cpus)):
            raise BedError(f"QEMU has threads for the CPUs {sorted(threads)}, not for {self.cpus}")
        for cpu, thread in threads.items():
            os.sched_setaffinity(thread, {host[min(cpu, len(host) - 1)]})
        if self.cpus > len(host):
            os.sched_setscheduler(threads[self.cpus - 1], os.SCHED_IDLE, os.sched_param(0))

    def _keep_console(self):
        with open(self.console_log, "w", encoding="utf-8") as log:
            for line in self.process.stdout:
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                log.write(f"{time.monotonic() - self.start:7.2f} {text}\n")
                log.flush()
        self.lines.put(None)

    def _read_port(self):
        with self.port.makefile("r", encoding="utf-8", errors="replace") as lines:
            try:
                for line in lines:
                    self.lines.put(line.rstrip("\n"))
            except OSError:
                pass
        self.lines.put(None)

    def order(self, text):
        try:
            self.port.sendall(f"{text}\n".encode())
        except OSError as error:
            raise BedError("the host is gone") from error

    def _next_line(self, end, what):
        try:
            line = self.lines.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            raise BedError(f"{what}: time is up; console: {self.console_log}") from None
        if line is None:
            raise BedError(f"{what}: the host died; console: {self.console_log}")
        return line

    def wait_ready(self):
        end = time.monotonic() + BOOT_LIMIT_S
        while not self._next_line(end, "booting Xen").startswith("ready "):
            pass
        if self.cpus > 2:
            self._place()
        return time.monotonic() - self.start

    def cpu_seconds(self):
        """What QEMU has had of this machine: tells more than the clock if others work on it."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def run(self, scenario, result, verbose, keep=False):
        """Has dom0 run a scenario; fills in `result`. BedError: the host is not usable any more."""
        start, start_cpu = time.monotonic(), self.cpu_seconds()
        shown = start
        self.order(f"run {scenario.name} {scenario.limit_s} {'keep' if keep else ''}")
        end = start + SLOWNESS_MAX * scenario.limit_s + GRACE_S
        try:
            while True:
                line = self._next_line(end, scenario.name)
                if self._take(line, result, verbose):
                    break
                if time.monotonic() - shown > 20:
                    shown = time.monotonic()
                    say(f"{scenario.name}: at work for {shown - start:.0f} s; "
                        f"{result.log[-1] if result.log else ''}")
        finally:
            result.seconds = time.monotonic() - start
            result.cpu_seconds = self.cpu_seconds() - start_cpu

    @staticmethod
    def _take(line, result, verbose):
        """One line from dom0; true at the scenario's end."""
        verb, _, rest = line.partition(" ")
        key, _, value = rest.partition(" ")
        if verb == "count":
            result.count(key, value)
        elif verb == "json":
            try:
                result.count_json(key, json.loads(value))
            except ValueError:
                result.failures.append(f"{key} is no JSON: {value[:80]}")
        elif verb == "fail":
            result.failures.append(rest)
        elif verb != "begin":
            result.log.append(rest)
        if verb == "stage" or verbose and verb in ("log", "fail"):
            say(f"  {result.scenario}: {rest}")
        return verb == "end"

    def shell(self):
        """A shell of dom0 on this terminal, until its user leaves it."""
        self.order("shell")
        threading.Thread(target=self._copy_input, daemon=True).start()
        while (line := self.lines.get()) not in (None, SHELL_ENDED):
            print(line, flush=True)

    def _copy_input(self):
        with contextlib.suppress(BedError):
            for line in sys.stdin:
                self.order(line.rstrip("\n"))
            self.order("exit")

    def off(self):
        """Powers the host off in good order."""
        try:
            self.order("off")
            self.process.wait(OFF_LIMIT_S)
        except (BedError, subprocess.TimeoutExpired):
            say("the host did not power off; killed")

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
