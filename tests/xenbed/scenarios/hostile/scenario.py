# SPDX-License-Identifier: GPL-2.0-or-later
"""dom0 and the guests have a CPU each; the hostile one's has what the others leave of the emulator's host. What
an attack costs is held against phases before and after it in which the same guest is as busy and its connection
honest and idle (quiet). Attacks on xenstore are held against as many writes to a node that tmemd does not watch (WRITES),
and those that keep dom0's CPU at work against quiet phases in which a program of the lowest priority takes what time that
CPU has left (BUSY): the emulator's CPUs share its host's. How much that is by itself is measured, too (`busy`)."""
from statistics import median

SUMMARY = "a guest that breaks every rule: it harms itself, not tmemd and not its neighbour"
LIMIT_S = 1200
CPUS = 3
OWN_BOOT = True
HOST_MIB = 1280
DOM0_MIB = 448
ORDER = 60
GATE = False
# Those that the daemon must disconnect; those it must refuse; those that only ask for much.
CLOSED = ("indices", "rewind", "requests")
REFUSED = ("values", "ports", "grants")
ALLOWED = ("rewrite", "events", "states", "reconnect", "flood", "pingpong")
SETTINGS = {"PHASE_S": 8, "ROUNDS": 1, "THROUGHPUT": 0.8, "ATTACKS": " ".join(CLOSED + REFUSED + ALLOWED),
            "WRITES": "states", "BUSY": "rewrite flood pingpong"}
# Many short rounds: other load of the emulator's host changes within some ten seconds.
LONG = {"LIMIT_S": 5400, "SETTINGS": {"PHASE_S": 6, "ROUNDS": 10, "THROUGHPUT": 0.9}}


def throughput(result, attack):
    """Pages a second that the neighbour moved, over the mean of the phases around it; the rounds' median."""
    def rate(phase):
        phase = f"{attack}.{phase}"
        return result[f"{phase}.pages"] * 1000 / result[f"{phase}.ms"]
    rounds = [str(number + 1) for number in range(result.settings["ROUNDS"])]
    controls = [rate(f"{number}.control") for number in [*rounds, "last"]]
    ratios = [2 * rate(f"{number}.attack") / (before + after)
              for number, before, after in zip(rounds, controls, controls[1:])]
    result.counts[f"{attack}.throughput"] = round(median(ratios), 3)
    result.counts[f"{attack}.throughputs"] = " ".join(f"{ratio:.2f}" for ratio in sorted(ratios))


def harmed_itself(result, attack):
    def evil(name):
        """The figure of all rounds, under a name of its own."""
        result.counts[f"{attack}.evil_{name}"] = sum(
            result[f"{attack}.{number + 1}.evil_{name}"] for number in range(result.settings["ROUNDS"]))
        return f"{attack}.evil_{name}"
    yield result.equal(evil("silent"), 0)  # the protocol's answers came in time
    yield result.equal(evil("wrong"), 0)
    yield result.equal(evil("still_mapped"), 0)
    if attack in CLOSED:
        yield result.at_least(evil("closed"), 1)
        # The end of a round may come before the daemon's answer to the last one.
        yield result.at_least(evil("closed"), result[evil("connected")] - result.settings["ROUNDS"])
    if attack in REFUSED:
        yield result.at_least(evil("refused"), 1)
        yield result.equal(evil("connected"), 0)


def check(result):
    attacks = result.settings["ATTACKS"].split()
    throughput(result, "busy")
    lines = result["before.log_lines"]
    for attack in attacks:
        throughput(result, attack)
        yield result.at_least(f"{attack}.throughput", result.settings["THROUGHPUT"])
        yield from harmed_itself(result, attack)
        for thing in ("fds", "mappings"):
            yield result.same(f"{attack}.after.{thing}", f"before.{thing}")
        # Ten lines at once and one a second is what a guest may cause, and what is left out is said.
        phase_s = result.settings["PHASE_S"]
        lines += result.settings["ROUNDS"] * (20 + 2 * (phase_s + 40))
        yield result.at_most(f"{attack}.after.log_lines", lines)
    # Buffers of threads and libraries settle in the first attacks; what leaks goes on growing.
    yield result.at_most("end.rss_anon_kib", 1.1 * result[f"{attacks[0]}.after.rss_anon_kib"] + 1024)
    for guest in ("g1", "evil"):
        yield result.equal(f"{guest}.complaints", 0)
    for name in ("wrong", "swap_read_errors", "swap_write_errors", "swap_lost"):
        yield result.equal(f"g1.{name}", 0)
