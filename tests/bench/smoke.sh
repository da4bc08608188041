#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# smoke.sh CORPUS_TOOL TMEM_BENCH: a tiny run of every bench; checks the report's form, and that the
# corpus generator makes the same bytes twice.
set -eu
corpus=$1
bench=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$corpus" "$folder/a" --synthetic --pages 1024 --seed 7
"$corpus" "$folder/b" --synthetic --pages 1024 --seed 7 --only guests >"$folder/log"
cmp "$folder/a/guests.pages" "$folder/b/guests.pages"
"$corpus" "$folder/b" --synthetic --pages 1024 --seed 8 --only guests >"$folder/log"
if cmp -s "$folder/a/guests.pages" "$folder/b/guests.pages"; then
  echo "another seed made the same corpus"
  exit 1
fi

"$bench" --smoke --json "$folder/out.json" --corpus "$folder/a/anon.pages" "$folder/a/file.pages" \
  "$folder/a/guests.pages" "$folder/a/rand.pages"
"$bench" --compare "$folder/out.json" "$folder/out.json" >"$folder/log"
python3 - "$folder/out.json" <<'PYTHON'
import json
import sys

report = json.load(open(sys.argv[1]))
keys = {"id", "corpus", "value", "reference", "ratio", "goal", "pass"}
rows = report["rows"]
assert all(keys <= row.keys() for row in rows), rows
assert all(row["value"] >= 0 and row["reference"] > 0 for row in rows), rows
ids = {row["id"] for row in rows} | {skip["id"] for skip in report["skipped"]}
wanted = {"P1", "P1-path", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "D1", "D2", "D4", "D6", "C1",
          "density-client", "density-group", "density-host", "density-quadruple", "destroy-stall",
          "persistent-priority", "cap", "weights-equal-rates", "weights-return"}
assert wanted <= ids, wanted - ids
PYTHON

if "$bench" --only P1 --json "$folder/out.json" --corpus "$folder/log" 2>"$folder/err"; then
  echo "a file that is no corpus was accepted"
  exit 1
fi
grep -q "tmem-bench" "$folder/err"
