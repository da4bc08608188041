// SPDX-License-Identifier: GPL-2.0-or-later
// The text of `xl tmem-list` (Xen 4.2 to 4.12) for programs that parse it: one record a line,
// "X=" then two-letter tags, "kk:value". Tags whose meaning has gone are printed as 0.
//
// Counters are kept per client now, not per pool or kind: gets of a client that has both kinds of
// pools all stand in Ge, and the put, get and flush counts of P and S records are 0.
#pragma once
#include <string>
#include <vector>

#include "tools/tmem/view.h"

namespace tmem::cli {

// The C and P records of these clients.
std::string legacy_client_records(const std::vector<ClientView>& clients, bool detailed);
// All records: G, S..., C and P of each client, T. `stats` is the answer of the verb stats.
std::string legacy_records(const json& stats, bool detailed);

}  // namespace tmem::cli
