#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# neighbour.sh TMEMD NEIGHBOUR [PHASES]: runs neighbour against a daemon of its own, which has one worker and
# this machine's first CPU.
set -eu
folder=$(mktemp -d)
daemon=
finish() {
  [ -z "$daemon" ] || { kill -QUIT "$daemon" 2>/dev/null || true; wait "$daemon" || true; }
  rm -rf "$folder"
}
trap finish EXIT
taskset -c 0 "$1" -c /dev/null --loopback-socket "$folder/loopback.sock" --control-socket "$folder/control.sock" \
  --memory 256M --workers 1 &
daemon=$!
tries=0
while [ ! -S "$folder/control.sock" ]; do
  tries=$((tries + 1))
  [ $tries -lt 300 ] || { echo "tmemd did not start" >&2; exit 1; }
  kill -0 $daemon 2>/dev/null || { echo "tmemd ended" >&2; exit 1; }
  sleep 0.1
done
"$2" "$folder/loopback.sock" "${3:-200}"
