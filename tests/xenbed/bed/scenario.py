# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenarios: what a folder below scenarios/ describes, and what a run of it gave.

scenario.py of the folder: SUMMARY, LIMIT_S (of dom0.sh), and if wanted OWN_BOOT, DISKS, CPUS, HOST_MIB,
DOM0_MIB, KMOD (VARIABLE=VALUE that the guest modules must be built with), ORDER, GATE, SETTINGS, check(result),
which yields complaints or None, and show(result), the text to print when all is well. SETTINGS are variables
of dom0.sh, and `result.settings` of check. LONG has what is different with --long: any of these, SETTINGS
one by one.
"""
import importlib.util
from dataclasses import dataclass, field, replace

from .common import BED, BedError

FOLDER = BED / "scenarios"


@dataclass(frozen=True)
class Disk:
    """A virtual disk; each boot starts from the same bytes. `name`: at most 20 characters."""
    name: str
    size_mib: int
    kind: str = "empty"  # "ext4", "xfs", "swap", "empty"
    fileset: tuple = ()  # arguments of `fileset create DIR` that fill an ext4


@dataclass
class Scenario:
    name: str
    summary: str
    limit_s: int
    check: object = None
    disks: tuple = ()
    own_boot: bool = False
    cpus: int = 1
    host_mib: int = 1024
    dom0_mib: int = 448
    order: int = 100
    gate: bool = True  # tools/check runs it
    kmod: str = ""
    settings: dict = field(default_factory=dict)
    show: object = None


@dataclass
class Result:
    """What one run of a scenario gave; `counts` has every figure, JSON documents flattened."""
    scenario: str
    settings: dict = field(default_factory=dict)
    counts: dict = field(default_factory=dict)
    failures: list = field(default_factory=list)
    log: list = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # of the emulator
    boot: int = 0

    @property
    def passed(self):
        return not self.failures

    def __getitem__(self, key):
        return self.counts[key]

    def _compare(self, key, good, text):
        value = self.counts.get(key)
        if value is None:
            return f"{key} was not reported"
        try:
            return None if good(value) else f"{key} is {value}, not {text}"
        except TypeError:
            return f"{key} is {value!r}, not a number"

    def equal(self, key, wanted):
        return self._compare(key, lambda v: v == wanted, f"{wanted!r}")

    def same(self, key, other):
        """Two figures of different sources that must agree."""
        if other not in self.counts:
            return f"{other} was not reported"
        return self._compare(key, lambda v: v == self.counts[other],
                             f"{self.counts[other]} as {other}")

    def at_least(self, key, bound):
        return self._compare(key, lambda v: v >= bound, f"at least {bound}")

    def at_most(self, key, bound):
        return self._compare(key, lambda v: v <= bound, f"at most {bound}")

    def count(self, key, text):
        """A figure as it came: a number if it looks like one."""
        for kind in (int, float):
            try:
                self.counts[key] = kind(text)
                return
            except ValueError:
                pass
        self.counts[key] = text

    def count_json(self, prefix, document):
        """The leaves of a JSON document, as prefix.path.to.leaf."""
        if isinstance(document, dict):
            items = document.items()
        elif isinstance(document, list):
            items = enumerate(document)
        else:
            self.counts[prefix] = document
            return
        for key, value in items:
            self.count_json(f"{prefix}.{key}", value)

    def finish(self, check):
        """Judges the figures. A check that trips over a missing one has failed."""
        if check is None or self.failures:
            return
        try:
            self.failures += [c for c in check(self) if c]
        except KeyError as error:
            self.failures.append(f"{error.args[0]} was not reported")

    def as_json(self):
        return {"scenario": self.scenario, "passed": self.passed, "seconds": round(self.seconds, 1),
                "cpu_seconds": round(self.cpu_seconds, 1), "boot": self.boot,
                "failures": self.failures, "counts": self.counts}


def load(name, long=False):
    path = FOLDER / name / "scenario.py"
    if not path.exists():
        raise BedError(f"no scenario {name}; tests/xenbed/run --list tells which there are")
    spec = importlib.util.spec_from_file_location(f"scenario_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    values = vars(module)
    settings = values.get("SETTINGS", {})
    if long:
        if "LONG" not in values:
            raise BedError(f"scenario {name} has no long form")
        settings = settings | module.LONG.get("SETTINGS", {})
        values = values | module.LONG
    optional = {key: values[key.upper()] for key in
                ("own_boot", "cpus", "host_mib", "dom0_mib", "order", "gate", "kmod")
                if key.upper() in values}
    return Scenario(name, values["SUMMARY"], values["LIMIT_S"], values.get("check"),
                    tuple(values.get("DISKS", ())), settings=settings, show=values.get("show"),
                    **optional)


def override(scenario, settings):
    """The scenario with other SETTINGS, given as texts "NAME=VALUE"; a number stays one."""
    changed = dict(scenario.settings)
    for text in settings:
        key, separator, value = text.partition("=")
        if not separator or key not in changed:
            raise BedError(f"scenario {scenario.name} has no setting {key}; there are: {', '.join(changed) or 'none'}")
        try:
            changed[key] = type(changed[key])(value)
        except ValueError:
            raise BedError(f"setting {key} of {scenario.name} is a number, not {value!r}") from None
    return replace(scenario, settings=changed)


def load_all():
    found = [load(p.parent.name) for p in FOLDER.glob("*/scenario.py")]
    return sorted(found, key=lambda s: (s.order, s.name))
