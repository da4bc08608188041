# SPDX-License-Identifier: GPL-2.0-or-later
script=/bed/scenarios/queues/guest.sh
start() { # MAX_QUEUES
  tmemd_start "[pool]
memory = \"256M\"
[xen]
max_queues = $1"
}
connected() { guest_run "$1" 60 '[ $(cat /sys/kernel/tmem/state) = connected ]'; }
back() { # both guests
  for name in g1 g2; do wait_for 120 connected $name || fail "$name does not come back"; done
}
seed=60
round() { # NAME
  local g1 g2
  g1=$(guest_start g1 sh $script round "$OPERATIONS" $((seed += 1)))
  g2=$(guest_start g2 sh $script round "$OPERATIONS" $((seed += 1)))
  guest_report g1 "$g1" 400 "$1.g1."
  guest_report g2 "$g2" 400 "$1.g2."
  for name in g1 g2; do client $name . | count_json "$1.$name.dom0"; done
}

start 4
VCPUS=2 guest_create g1 pv 176 "disk=['phy:$(disk queues-files),xvda,w']"
VCPUS=2 guest_create g2 pv 144
guest_run g1 60 "sh $script start 0" || die "g1 cannot start"
guest_run g2 60 "sh $script start 3" || die "g2 cannot start"
round two
tmemd_stop KILL
start 1
back
round one
tmemd_stop KILL
start 4
back
round kept
for name in g1 g2; do
  xl save $name /bed/guest.save && xl restore /bed/guest.save || die "$name cannot be saved and restored"
  rm /bed/guest.save
done
back
round restored
