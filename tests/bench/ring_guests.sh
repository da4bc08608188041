#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# ring_guests.sh TMEMD RING_GUESTS [CORPUS]: runs ring_guests against a daemon of its own. Without a
# corpus, on a small made-up one.
set -eu
tools=$(dirname "$0")/../../tools
folder=$(mktemp -d)
daemon=
finish() {
  [ -z "$daemon" ] || { kill -QUIT "$daemon" 2>/dev/null || true; wait "$daemon" || true; }
  rm -rf "$folder"
}
trap finish EXIT
corpus=${3-}
if [ -z "$corpus" ]; then
  corpus=$folder/guests.pages
  "$tools/corpus" "$folder" --synthetic --pages 4096 --only guests
fi
pages=$(($(stat -c %s "$corpus") / 4096))
# Room for every page while it is still raw: no client is above its share.
"$1" -c /dev/null --loopback-socket "$folder/loopback.sock" --control-socket "$folder/control.sock" \
  --memory $((pages / 256 * 3 / 2 + 64))M &
daemon=$!
tries=0
while [ ! -S "$folder/control.sock" ]; do
  tries=$((tries + 1))
  [ $tries -lt 300 ] || { echo "tmemd did not start" >&2; exit 1; }
  kill -0 $daemon 2>/dev/null || { echo "tmemd ended" >&2; exit 1; }
  sleep 0.1
done
"$2" "$folder/loopback.sock" "$corpus"
