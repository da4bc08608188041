// SPDX-License-Identifier: GPL-2.0-or-later
// The transports as JSON: "transport" in the answers of the control verbs `stats` and `list`.
#pragma once
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>

#include "tmemd/transport/loopback/server.h"
#include "tmemd/transport/workers.h"
#include "tmemd/transport/xen/server.h"

namespace tmem {

// All counters. `xen` may be null.
nlohmann::json transport_stats(const transport::LoopbackServer& loopback,
                               const transport::Workers& workers,
                               const transport::xen::XenServer* xen);

// How each client is connected, by the store's number. `xen` may be null.
std::map<uint32_t, nlohmann::json> client_transports(const transport::LoopbackServer& loopback,
                                                     const transport::xen::XenServer* xen);

}  // namespace tmem
