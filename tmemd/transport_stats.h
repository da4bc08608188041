// SPDX-License-Identifier: GPL-2.0-or-later
// The transport's counters as JSON: "transport" in the answer of the control verb `stats`.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "tmemd/transport/loopback/server.h"
#include "tmemd/transport/workers.h"

namespace tmem {

nlohmann::json transport_stats(const transport::LoopbackServer& loopback,
                               const transport::Workers& workers);

}  // namespace tmem
