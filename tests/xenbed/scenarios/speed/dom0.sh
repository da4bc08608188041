# SPDX-License-Identifier: GPL-2.0-or-later
script=/bed/scenarios/speed/guest.sh
stage() { frame "stage $*"; }

# job PREFIX ARGUMENT...: of the guest's script; its figures get the prefix.
job() {
  prefix=$1
  shift
  guest_report g1 "$(guest_start g1 sh $script "$@")" 240 "$prefix"
}

# hypercalls PREFIX FILE: of dom0 and the guest, by name, from a trace.
hypercalls() {
  xenalyze --summary "$2" > /run/summary 2>&1
  awk -v guest="$(domid g1)" '
    /^\|-- Domain/ { who = $3 == 0 ? "dom0" : $3 == guest ? "guest" : "" }
    who && /^ +[a-z_0-9]+ *\[ *[0-9]+\]: / { sub(/\[.*\]:/, " "); sum[who "." $1] += $2 }
    END { for (name in sum) print name, sum[name] }' /run/summary | while read -r name number; do
      count "$1$name" "$number"
      echo "$1$name $number"
    done
}

tmemd_start '[pool]
memory = "128M"'
guest_create g1 pv 192
guest_run g1 60 "sh $script start" || die "the guest cannot start"
for round in 1 2 3; do
  stage "round $round"
  job "$round." blocks $round
done
for device in tmemswap0 zram0; do
  stage "swap on $device"
  job "swap.$device." swap $device
done

# Xen's own trace of who runs (2) and of what PV domains enter Xen for (0x20).
for depth in 1 64; do
  for op in write read; do
    for device in tmemswap0 zram0; do
      stage "hypercalls: $device, $op, depth $depth"
      xentrace -D -S 2048 -e 0x00221000 /run/trace &
      tracer=$!
      sleep 1
      job "trace.$device.$op.$depth." traced $device $op 1024 $depth
      kill -INT $tracer
      wait $tracer
      hypercalls "trace.$device.$op.$depth." /run/trace
    done
  done
done
head -n 60 /run/summary
client g1 . | count_json dom0
