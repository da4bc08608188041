# SPDX-License-Identifier: GPL-2.0-or-later
# For scripts that want a tmemd of their own: sets $folder, which goes with the script, as the daemon does, and
# $program, if the script starts another one. A daemon that does not end well is a failure of the script.
folder=$(mktemp -d)
daemon=
program=
finish() {
  status=$?
  if [ -n "$program" ]; then kill "$program"; fi
  if [ -n "$daemon" ]; then
    kill -QUIT "$daemon" || status=1
    wait "$daemon" || status=1
  fi
  rm -rf "$folder"
  exit $status
}
trap finish EXIT

# start_daemon COMMAND...: tmemd without a configuration, on $folder/loopback.sock; returns when it serves.
start_daemon() {
  "$@" -c /dev/null --loopback-socket "$folder/loopback.sock" --control-socket "$folder/control.sock" &
  daemon=$!
  tries=0
  while [ ! -S "$folder/control.sock" ]; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || { echo "tmemd did not start" >&2; exit 1; }
    kill -0 $daemon 2>/dev/null || { echo "tmemd ended" >&2; exit 1; }
    sleep 0.1
  done
}
