# SPDX-License-Identifier: GPL-2.0-or-later
# Words for a scenario's dom0.sh. Results are lines on the port (descriptor 3): see bed/machine.py.

frame() { printf '%s\n' "$*" >&3; }
note() { echo "-- $*"; }
count() { frame "count $1 $2"; }  # count KEY VALUE: a figure of this scenario
count_json() { frame "json $1 $(jq -c .)"; }  # count_json PREFIX: a JSON document's figures
fail() { echo "$*" >> /run/failed; frame "fail $*"; }
die() { fail "$*"; exit 1; }
uptime_s() { cut -d' ' -f1 /proc/uptime; }
uptime_ms() { awk '{ printf "%d\n", $1 * 1000 }' /proc/uptime; }

# check WHAT A OP B: a numeric comparison of test(1) that must hold.
check() {
  [ "$2" "$3" "$4" ] 2>/dev/null || fail "$1: $2 $3 $4 does not hold"
}

uptime_whole() { cut -d. -f1 /proc/uptime; }

# Waiting. There is one CPU, and dom0 comes first: who polls fast starves the guests.
# wait_for LIMIT_S COMMAND...: until it succeeds; tried each second.
wait_for() {
  local end=$(($(uptime_whole) + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$(uptime_whole)" -lt "$end" ] || return 1
    sleep 1
  done
}

# wait_node LIMIT_S NODE: until a node of xenstore exists; sleeps in a watch. The second event of a
# watch is the first change; one between test and watch is missed, so each watch lasts some seconds.
wait_node() {
  local end=$(($(uptime_whole) + $1))
  until xenstore-exists "$2"; do
    [ "$(uptime_whole)" -lt "$end" ] || return 1
    timeout 5 xenstore-watch -n 2 "$2" >/dev/null 2>&1
  done
  return 0  # not the status of the last watch
}

# ---- tmemd ----

tmemd_pid() { pidof tmemd; }
tmemd_answers() { tmem info; }

# tmemd_start [TOML]: with this configuration, until it answers.
tmemd_start() {
  mkdir -p /etc/tmemd
  [ $# -eq 0 ] || printf '%s\n' "$1" > /etc/tmemd/tmemd.toml
  setsid tmemd >> /var/log/tmemd.log 2>&1 </dev/null 3>&- &
  wait_for 30 tmemd_answers || die "tmemd does not answer"
}

# tmemd_stop [SIGNAL]: and waits until it is gone.
tmemd_stop() {
  _pid=$(tmemd_pid) || return 0
  kill "-${1:-TERM}" $_pid
  wait_for 20 no_process tmemd || die "tmemd does not end"
}
no_process() { ! pidof "$1"; }

# client NAME FILTER: of the client's object in `tmem list --json`, by jq.
client() { tmem list --json | jq -c ".[] | select(.identity.name == \"$1\") | $2"; }

# progress: for who watches a long load.
progress() {
  frame "log -- up $(uptime_whole) s; puts, hits: $(tmem list --json |
    jq -c 'map([.identity.name, .counters.puts_ok, .counters.hits])')"
}

# cpu_seconds: what each domain has had so far.
cpu_seconds() {
  xl list | awk 'NR > 1 { print $1, $6 }' | while read -r _domain _cpu; do
    count "cpu_s.$_domain" "$_cpu"
  done
}

# swap_settled NAME: after its swapoff. The module gives freed slots back in batches; then its
# figures and ours must agree.
swap_settled() {
  wait_for 20 no_persistent_pages "$1"
  guest_run "$1" 30 '. /bed/lib.sh; figures pool_ $TMEM/pool0; figures swap_ $TMEM/swap; kernel_complaints' |
    count_pairs "$1."
  client "$1" . | count_json "$1.dom0"
  count "$1.pages_after_swapoff" "$(client "$1" .pages.persistent)"
}
no_persistent_pages() { [ "$(client "$1" .pages.persistent)" = 0 ]; }

# ---- guests ----

# domid NAME: or the number itself.
domid() {
  case "$1" in
    *[!0-9]*) xl domid "$1" 2>/dev/null ;;
    *) echo "$1" ;;
  esac
}

# [VCPUS=1] guest_create NAME pv|pvh MEMORY_MIB [LINE of xl.cfg...]: and waits until its agent is ready.
guest_create() {
  local name=$1
  {
    printf 'name="%s"\ntype="%s"\nmemory=%s\nvcpus=%s\n' "$1" "$2" "$3" "${VCPUS:-1}"
    printf 'kernel="/bed/vmlinux"\nramdisk="/bed/guest.img"\n'
    # ramfs: the agent's files are never swapped out, so it survives what the guest loses.
    printf 'extra="console=hvc0 loglevel=5 panic=-1 rootfstype=ramfs guest=%s"\n' "$1"
    printf 'on_crash="preserve"\non_poweroff="destroy"\non_reboot="destroy"\n'
    shift 3
    printf '%s\n' "$@"
  } > "/run/$name.cfg"
  guest_boot "$name"
}

# guest_boot NAME: creates it from the configuration that guest_create wrote.
guest_boot() {
  xl create -q "/run/$1.cfg" || die "xl create $1 failed"
  guest_wait "$1"
  note "guest $1 is domain $(domid "$1"), up at $(uptime_s)"
}

guest_ready() { xenstore-exists "/local/domain/$(domid "$1")/data/ready"; }
# guest_wait NAME [LIMIT_S]
guest_wait() {
  local ready=/local/domain/$(domid "$1")/data/ready
  for _ in $(seq $(((${2:-180} + 9) / 10))); do
    wait_node 10 "$ready" && return 0
    guest_crashed "$1" && die "guest $1 crashed"
  done
  die "guest $1 is silent"
}
guest_crashed() { xl list "$1" | tail -n 1 | awk '{ exit $5 !~ /c/ }'; }

guest_destroy() { xl destroy "$1"; }

# Jobs run in the guest, several at once if wanted; ids are unique while dom0 is up.
# guest_start NAME COMMAND: starts it and prints the job's id.
guest_start() {
  local job=$(tr -d ' .' < /proc/uptime) data=/local/domain/$(domid "$1")/data
  shift
  wait_for 30 guest_listens "$data" || die "a guest's agent does not listen"
  xenstore-write "$data/cmd" "$job $*" || die "cannot give a job to a guest"
  echo "$job"
}
guest_listens() { [ -z "$(xenstore-read "$1/cmd")" ]; }

# guest_join NAME JOB LIMIT_S: prints its output; its exit status is the command's, 124 after LIMIT_S.
guest_join() {
  local data=/local/domain/$(domid "$1")/data/job/$2 left=$3 part rc
  until wait_node $((left < 120 ? left : 120)) "$data/rc"; do
    left=$((left - 120))
    [ $left -gt 0 ] || return 124
    progress
  done
  rc=$(xenstore-read "$data/rc")
  for part in $(xenstore-list "$data" | grep '^p' | sort); do
    xenstore-read "$data/$part"
  done | base64 -d
  xenstore-rm "$data"
  return "$rc"
}

# guest_report NAME JOB LIMIT_S [PREFIX]: joins; the key=value words that it says become counts with
# PREFIX (default NAME.); a bad exit status is a failure.
guest_report() {
  local status=0
  guest_join "$1" "$2" "$3" > "/run/$1.out" || status=$?
  count_pairs "${4-$1.}" < "/run/$1.out"
  [ $status -eq 0 ] || fail "$1: its command ended with $status"
}

# guest_run NAME LIMIT_S COMMAND: starts and joins.
guest_run() {
  local guest=$1 limit=$2 id
  shift 2
  id=$(guest_start "$guest" "$*") || return 1
  guest_join "$guest" "$id" "$limit"
}

# count_pairs PREFIX: each key=value of the input becomes a count; the input is shown.
count_pairs() {
  cat > /run/pairs
  sed "s/^/$1 /" /run/pairs
  for _pair in $(grep -o '[a-z][a-z0-9_]*=[^ ]*' /run/pairs); do
    count "$1${_pair%%=*}" "${_pair#*=}"
  done
}

# ---- disks ----

# disk NAME: the device of a disk that a scenario.py declares.
disk() {
  for _serial in /sys/block/vd*/serial; do
    if [ "$(cat "$_serial")" = "$1" ]; then
      echo "/dev/$(basename "$(dirname "$_serial")")"
      return 0
    fi
  done
  return 1
}

# ---- between scenarios ----

# The guests; and all but dom0, the pool domain too.
domains() { xl list | awk 'NR > 1 && $2 > 0 && $1 != "tmem-pool" { print $2 }'; }
all_domains() { xl list | awk 'NR > 1 && $2 > 0 { print $2 }'; }
no_domains() { [ -z "$(all_domains)" ]; }

reset_host() {
  _pid=$(pidof tmemd) && kill -KILL $_pid
  # The pool domain outlives it.
  for _id in $(all_domains); do xl destroy "$_id"; done
  wait_for 20 no_domains
  rm -rf /run/tmemd /run/*.cfg /var/log/xen/guest-* /var/log/tmemd.log /etc/tmemd
  mkdir -p /run/tmemd
}

# show_logs: what dom0 knows when something failed.
show_logs() {
  for _log in /var/log/tmemd.log /var/log/xen/guest-*.log; do
    [ -s "$_log" ] && tail -n 160 "$_log" | tr -d '\r' | sed "s|^|log $(basename "$_log"): |" >&3
  done
  for _id in $(domains); do
    guest_run "$_id" 15 '. /bed/lib.sh; figures "" $TMEM; figures swap_ $TMEM/swap; figures pool0_ $TMEM/pool0; figures pool1_ $TMEM/pool1
      vmstat pswpin pswpout; dmesg | tail -n 15' 2>&1 | sed "s/^/log domain $_id: /" >&3
  done
  tmem list 2>&1 | sed 's/^/log /' >&3
  { xl list; free -m; dmesg | tail -n 5; } 2>&1 | sed 's/^/log /' >&3
}
