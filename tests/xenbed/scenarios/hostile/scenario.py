# SPDX-License-Identifier: GPL-2.0-or-later
"""dom0 and the guests have a CPU each; the hostile one's has what the others leave of the emulator's host. What
an attack costs is held against the half seconds before and after it, in which the connection of the same guest is idle:
other load of the emulator's host changes within some seconds. Attacks on xenstore are held against as many writes to a
node that tmemd does not watch. `quiet` attacks nobody: what the measurement is good for."""
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
SETTINGS = {"TURNS": 20, "TURN_MS": 500, "PAUSE_US": 5000, "THROUGHPUT": 0.8,
            "ATTACKS": " ".join((*CLOSED, *REFUSED, *ALLOWED))}
LONG = {"LIMIT_S": 5400, "SETTINGS": {"TURNS": 120, "THROUGHPUT": 0.9}}


def throughput(result, attack):
    """Of the neighbour in a turn of the attack, over the mean of the turns before and after: the median."""
    result.counts[f"{attack}.throughput"] = result[f"{attack}.permille"] / 1000


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
    lines = result["before.log_lines"]
    for attack in ("quiet", *attacks):
        throughput(result, attack)
        yield result.at_least(f"{attack}.throughput", result.settings["THROUGHPUT"])
        yield result.equal(f"{attack}.turns", result.settings["TURNS"])
        yield result.equal(f"{attack}.wrong", 0)
    for attack in attacks:
        yield from harmed_itself(result, attack)
        for thing in ("fds", "mappings"):
            yield result.same(f"{attack}.after.{thing}", f"before.{thing}")
        # Ten lines at once and one a second is what a guest may cause, and what is left out is said.
        attack_s = result.settings["TURNS"] * (2 * result.settings["TURN_MS"] / 1000 + 1)
        lines += 20 + 2 * (attack_s + 40)
        yield result.at_most(f"{attack}.after.log_lines", lines)
    # Buffers of threads and libraries settle in the first attacks; what leaks goes on growing.
    yield result.at_most("end.rss_anon_kib", 1.1 * result[f"{attacks[0]}.after.rss_anon_kib"] + 1024)
    for guest in ("g1", "evil"):
        yield result.equal(f"{guest}.complaints", 0)
    for name in ("swap_read_errors", "swap_write_errors", "swap_lost"):
        yield result.equal(f"g1.{name}", 0)
