#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# neighbour.sh TMEMD NEIGHBOUR [PHASES]: runs neighbour against a daemon of its own, which has one worker and
# this machine's first CPU.
set -eu
. "$(dirname "$0")/daemon.sh"
start_daemon taskset -c 0 "$1" --memory 256M --workers 1
"$2" "$folder/loopback.sock" "${3:-200}"
