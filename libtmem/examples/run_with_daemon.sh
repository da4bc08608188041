#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# run_with_daemon.sh TMEMD PROGRAM ARGUMENT...: runs an example against a daemon of its own, whose
# loopback.sock and control.sock are in the working directory; exits as it does.
set -eu
dir=$(mktemp -d)
tmemd=$1
shift
"$tmemd" -c /dev/null --loopback-socket "$dir/loopback.sock" --control-socket "$dir/control.sock" \
  --memory 16M &
daemon=$!
trap 'kill -QUIT $daemon 2>/dev/null; wait $daemon; rm -rf "$dir"' EXIT
tries=0
while [ ! -S "$dir/control.sock" ]; do
  tries=$((tries + 1))
  [ $tries -lt 300 ] || { echo "tmemd did not start" >&2; exit 1; }
  kill -0 $daemon 2>/dev/null || { echo "tmemd ended" >&2; exit 1; }
  sleep 0.1
done
(cd "$dir" && "$@")
