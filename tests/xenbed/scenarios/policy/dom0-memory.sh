# SPDX-License-Identifier: GPL-2.0-or-later
# Words of the scenarios policy and policy-guests.
guest_script=/bed/scenarios/policy/guest.sh

# in_guest NAME VERB ARGUMENT...: begins a verb of the guests' script and prints the job.
in_guest() {
  local name=$1
  shift
  guest_start "$name" sh $guest_script "$@"
}

# recorder_start: /run/memory gets a line each half second, as Xen counts: the time, then ID=KIB.
recorder_start() {
  xenmem follow 500 > /run/memory 2>&1 3>&- &
  recorder=$!
}
recorder_stop() { kill "$recorder"; }

# memory_kib NAME: at the last half second.
memory_kib() { tail -n 1 /run/memory | tr ' ' '\n' | sed -n "s/^$(domid "$1")=//p"; }

# memory_ms NAME BEGIN_MS least|most KIB: how long after BEGIN_MS the guest first had at least (at
# most) so much; `never` while it had not.
memory_ms() {
  awk -v id="$(domid "$1")" -v begin="$2" -v least="$([ "$3" = least ] && echo 1)" -v kib="$4" '
    $1 < begin { next }
    { for (i = 3; i <= NF; i++) {
        split($i, word, "=")
        if (word[1] == id && (least ? word[2] >= kib : word[2] <= kib)) { print $1 - begin; found = 1; exit }
    } }
    END { if (!found) print "never" }' /run/memory
}

# memory_range NAME FROM_MS TO_MS: sets least_kib and most_kib.
memory_range() {
  eval "$(awk -v id="$(domid "$1")" -v from="$2" -v to="$3" '
    $1 < from || $1 > to { next }
    { for (i = 3; i <= NF; i++) {
        split($i, word, "=")
        if (word[1] != id) continue
        if (!seen++ || word[2] < least) least = word[2]
        if (word[2] > most) most = word[2]
    } }
    END { print "least_kib=" least " most_kib=" most }' /run/memory)"
}

# why NAME FILTER: of `tmem why`, by jq.
why() { tmem --json why "$1" | jq -r ".guests[0] | $2"; }

tmemd_for_policy() { # HEAD_MIB MODE
  tmemd_start "[pool]
provider = \"pool-domain\"
head_room = \"$1M\"
[policy]
mode = \"$2\""
}

# guest_for_policy NUMBER MEMORY_MIB MAX_MIB: guest g1, g2; its disks are policy-files1, policy-swap1. `xl
# create` allows a guest no more than `memory`, whatever `maxmem` says.
guest_for_policy() {
  guest_create "g$1" pv "$2" "maxmem=$3" \
    "disk=['phy:$(disk "policy-files$1"),xvda,w','phy:$(disk "policy-swap$1"),xvdb,w']"
  xl mem-max "g$1" "$3" || die "xl mem-max failed"
}
