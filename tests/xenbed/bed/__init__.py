# SPDX-License-Identifier: GPL-2.0-or-later
"""The test bed: real Xen, dom0 and guests inside QEMU. tests/xenbed/README.md tells how it works."""
