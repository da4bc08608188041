#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# neighbour.sh TMEMD NEIGHBOUR [PHASES [busy]]: runs neighbour against a daemon of its own, which has one worker and
# this machine's first CPU; with "busy", a program that never sleeps has that CPU, too.
set -eu
. "$(dirname "$0")/daemon.sh"
start_daemon taskset -c 0 "$1" --memory 256M --workers 1
if [ "${4:-}" = busy ]; then
  taskset -c 0 sh -c 'while :; do :; done' &
  program=$!
fi
"$2" "$folder/loopback.sock" "${3:-200}"
