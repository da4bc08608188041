#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# ring_guests.sh TMEMD RING_GUESTS [CORPUS]: runs ring_guests against a daemon of its own. Without a
# corpus, on a small made-up one.
set -eu
. "$(dirname "$0")/daemon.sh"
corpus=${3-}
if [ -z "$corpus" ]; then
  corpus=$folder/guests.pages
  "$(dirname "$0")/../../tools/corpus" "$folder" --synthetic --pages 4096 --only guests
fi
pages=$(($(stat -c %s "$corpus") / 4096))
# Room for every page while it is still raw: no client is above its share.
start_daemon "$1" --memory $((pages / 256 * 3 / 2 + 64))M
"$2" "$folder/loopback.sock" "$corpus"
