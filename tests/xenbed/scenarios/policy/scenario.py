# SPDX-License-Identifier: GPL-2.0-or-later
from bed.scenario import Disk

SUMMARY = "memory scheduling: two guests with opposite phases, a static split beside it, room for a third"
LIMIT_S = 900
CPUS = 2
OWN_BOOT = True
HOST_MIB = 828
DOM0_MIB = 448
ORDER = 90
GATE = False
SETTINGS = {"HEAD_MIB": 24, "MAX_MIB": 256, "START_MIB": 144, "PROGRAM_MIB": 72, "PHASE_S": 30, "PHASES": 6, "FILES_MIB": 64}
DISKS = (Disk("policy-files1", 96, "ext4", ("--mib", "64", "--seed", "71")),
         Disk("policy-files2", 96, "ext4", ("--mib", "64", "--seed", "72")),
         Disk("policy-swap1", 128, "swap"), Disk("policy-swap2", 128, "swap"))
