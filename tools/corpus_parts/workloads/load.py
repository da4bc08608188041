# SPDX-License-Identifier: GPL-2.0-or-later
"""A Python service's heap: load.py SEED MIB. Grows to MIB, prints "ready", sleeps."""
import ast
import collections
import glob
import json
import os
import random
import re
import sqlite3
import sys
import time

seed, mib = int(sys.argv[1]), int(sys.argv[2])
rng = random.Random(seed)
library = sorted(glob.glob(os.path.join(os.path.dirname(os.__file__), "*.py")))
texts = [open(path, errors="ignore").read() for path in rng.sample(library, min(40, len(library)))]
words = sorted({w for text in texts for w in re.findall(r"[A-Za-z]{3,14}", text)})


class Account:
    def __init__(self, number):
        self.number = number
        self.name = " ".join(rng.choices(words, k=2))
        self.balance = rng.gauss(1000, 250)
        self.labels = set(rng.choices(words, k=3))
        self.history = [rng.randrange(1 << 20) for _ in range(rng.randrange(8))]
        self.peer = None


def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) // 256


database = sqlite3.connect(":memory:")
database.execute("create table event (id integer primary key, who text, at real, body text)")
database.execute("create index by_who on event (who)")
trees = [ast.parse(text) for text in texts[:10]]
inverted = collections.defaultdict(list)
accounts, documents, cache = [], {}, collections.OrderedDict()
step = 0
while resident_mib() < mib:
    for _ in range(200):
        step += 1
        account = Account(step)
        if accounts:
            account.peer = accounts[rng.randrange(len(accounts))]
        accounts.append(account)
        document = {"id": step, "user": account.name, "score": rng.random(), "open": step % 3 == 0,
                    "tags": rng.choices(words, k=5), "at": 1.7e9 + step * 13,
                    "text": " ".join(rng.choices(words, k=rng.randrange(4, 40)))}
        encoded = json.dumps(document)
        if step % 2:
            documents[f"doc:{step}"] = encoded
        else:
            cache[account.name] = json.loads(encoded)
        if step % 4 == 0:
            database.execute("insert into event values (?,?,?,?)",
                             (step, account.name, rng.random(), encoded))
        for word in document["tags"]:
            inverted[word].append(step)
        if step % 5 == 0:
            accounts[rng.randrange(len(accounts))] = accounts[-1]
            documents.pop(f"doc:{rng.randrange(step)}", None)
print("ready", flush=True)
time.sleep(600)
