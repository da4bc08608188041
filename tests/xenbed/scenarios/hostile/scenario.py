# SPDX-License-Identifier: GPL-2.0-or-later
"""dom0 and the guests have a CPU each; the hostile one's has what the others leave of the emulator's host. As
a busy guest costs its neighbour some time whatever it does, what an attack costs is held against the same
guest, as busy, with an honest, idle connection, before and after the attack. Attacks on xenstore are held against as many writes to a
node that tmemd does not watch."""
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
SETTINGS = {"PHASE_S": 8, "THROUGHPUT": 0.8, "ATTACKS": " ".join(CLOSED + REFUSED + ALLOWED)}
LONG = {"LIMIT_S": 3600, "SETTINGS": {"PHASE_S": 60, "THROUGHPUT": 0.9}}


def throughput(result, attacks):
    """Pages a second that the neighbour moved, over the mean of the control phases around it."""
    def rate(phase):
        return result[f"{phase}.pages"] * 1000 / result[f"{phase}.ms"]
    controls = [rate(f"{attack}.control") for attack in attacks] + [rate("last.control")]
    for attack, before, after in zip(attacks, controls, controls[1:]):
        if attack == "states":  # its own control is another one than the next phase's
            after = before
        result.counts[f"{attack}.throughput"] = round(
            2 * rate(f"{attack}.attack") / (before + after), 3)


def harmed_itself(result, attack):
    def evil(name):
        return f"{attack}.evil_{name}"
    yield result.equal(evil("silent"), 0)  # the protocol's answers came in time
    yield result.equal(evil("wrong"), 0)
    yield result.equal(evil("still_mapped"), 0)
    if attack in CLOSED:
        yield result.at_least(evil("closed"), 1)
        yield result.same(evil("closed"), evil("connected"))
    if attack in REFUSED:
        yield result.at_least(evil("refused"), 1)
        yield result.equal(evil("connected"), 0)


def check(result):
    attacks = result.settings["ATTACKS"].split()
    throughput(result, attacks)
    lines = result["before.log_lines"]
    for attack in attacks:
        yield result.at_least(f"{attack}.throughput", result.settings["THROUGHPUT"])
        yield from harmed_itself(result, attack)
        for thing in ("fds", "mappings"):
            yield result.same(f"{attack}.after.{thing}", f"before.{thing}")
        # Ten lines at once and one a second is what a guest may cause, and what is left out is said.
        lines += 20 + 2 * (result[f"{attack}.attack.ms"] + 40000) / 1000
        yield result.at_most(f"{attack}.after.log_lines", lines)
    # Buffers of threads and libraries settle in the first attacks; what leaks goes on growing.
    yield result.at_most("end.rss_anon_kib", 1.1 * result[f"{attacks[0]}.after.rss_anon_kib"] + 1024)
    for guest in ("g1", "evil"):
        yield result.equal(f"{guest}.complaints", 0)
    for name in ("wrong", "swap_read_errors", "swap_write_errors", "swap_lost"):
        yield result.equal(f"g1.{name}", 0)
