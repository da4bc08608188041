# SPDX-License-Identifier: GPL-2.0-or-later
"""dom0 and the guests have a CPU each; the hostile one's has what the others leave of the emulator's host. What
an attack costs is held against the half seconds before and after it, in which the connection of the same guest is idle:
other load of the emulator's host changes within some seconds. Attacks on xenstore are held against as many writes to a
node that tmemd does not watch. `quiet` attacks nobody: what the measurement is good for. An attack fails that costs more
than the goal beyond twice the standard error; a run whose errors are too large has measured nothing, and fails."""
import math

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
# ... and what they do, how often at least.
ALLOWED = {"rewrite": ("posted", 1000), "events": ("events", 1000), "states": ("writes", 100), "reconnect": ("offers", 2),
           "flood": ("posted", 1000), "pingpong": ("posted", 1000)}
# Those that are at work in every turn. tmemd makes the others wait, up to 10 s, before it hears their next offer: most of
# their turns are empty, so that the mean tells what they cost, and the median does not.
STEADY = ("quiet", "rewrite", "states", "flood", "pingpong")
THROUGHPUT = 0.9
SETTINGS = {"TURNS": 20, "TURN_MS": 500, "PAUSE_US": 5000, "ERROR_MAX": 0.25,
            "ATTACKS": " ".join((*CLOSED, *REFUSED, *ALLOWED))}
LONG = {"LIMIT_S": 5400, "SETTINGS": {"TURNS": 120, "ERROR_MAX": 0.05}}


def throughput(result, attack):
    """Of the neighbour in the turns of an attack over the turns of peace, and the standard error of that."""
    if attack in STEADY:
        quartiles = result[f"{attack}.permille_high"] - result[f"{attack}.permille_low"]
        # As of a normal distribution: its quartiles are 1.35 deviations apart, the error of a median 1.25 of a mean's.
        return result[f"{attack}.permille"] / 1000, 1.25 * quartiles / 1.35 / math.sqrt(result[f"{attack}.turns"]) / 1000
    return result[f"{attack}.mean_permille"] / 1000, result[f"{attack}.mean_error_permille"] / 1000


def costs_little(result, attack):
    ratio, error = throughput(result, attack)
    result.counts[f"{attack}.throughput"] = ratio
    result.counts[f"{attack}.throughput_error"] = round(error, 3)
    result.counts[f"{attack}.throughput_bound"] = round(ratio + 2 * error, 3)
    yield result.at_least(f"{attack}.throughput_bound", THROUGHPUT)
    yield result.at_most(f"{attack}.throughput_error", result.settings["ERROR_MAX"])


def harmed_itself(result, attack):
    yield result.equal(f"{attack}.evil_silent", 0)  # the protocol's answers came in time
    yield result.equal(f"{attack}.evil_wrong", 0)
    yield result.equal(f"{attack}.evil_still_mapped", 0)
    if attack in CLOSED:
        yield result.at_least(f"{attack}.evil_closed", 1)
        # The end may come before the daemon's answer to the last one.
        yield result.at_least(f"{attack}.evil_closed", result[f"{attack}.evil_connected"] - 1)
    if attack in REFUSED:
        yield result.at_least(f"{attack}.evil_refused", 1)
        yield result.equal(f"{attack}.evil_connected", 0)
    if attack in ALLOWED:
        count, least = ALLOWED[attack]
        yield result.at_least(f"{attack}.evil_{count}", least)


def check(result):
    attacks = result.settings["ATTACKS"].split()
    for attack in ("quiet", *attacks):
        yield from costs_little(result, attack)
        yield result.equal(f"{attack}.turns", result.settings["TURNS"])
        yield result.equal(f"{attack}.wrong", 0)
    # Else it would be the neighbour that asks for more than its share.
    yield result.at_most("quiet.worker_ms", 0.45 * result["quiet.ms"])
    lines = result["before.log_lines"]
    for attack in attacks:
        yield from harmed_itself(result, attack)
        for count in ("wrong", "silent"):
            yield result.equal(f"{attack}.honest_{count}", 0)
        for thing in ("fds", "mappings"):
            yield result.same(f"{attack}.after.{thing}", f"before.{thing}")
        # Ten lines at once and one a second is what a guest may cause, and what is left out is said.
        yield result.at_most(f"{attack}.after.log_lines", lines + 20 + 2 * (result[f"{attack}.ms"] / 1000 + 40))
        lines = result[f"{attack}.after.log_lines"]
    # Buffers of threads and libraries settle in the first attacks; what leaks goes on growing.
    yield result.at_most("end.rss_anon_kib", 1.1 * result[f"{attacks[0]}.after.rss_anon_kib"] + 1024)
    for guest in ("g1", "evil"):
        yield result.equal(f"{guest}.complaints", 0)
    for name in ("swap_read_errors", "swap_write_errors", "swap_lost"):
        yield result.equal(f"g1.{name}", 0)
