// SPDX-License-Identifier: GPL-2.0-or-later
// The store's statistics as JSON. Keys are the names of the fields in store/types.h; arrays over
// kinds become {"ephemeral", "persistent"}, over tiers {"raw", "lz4", "zstd"}; UUIDs are text.
#pragma once
#include <nlohmann/json.hpp>

#include "tmemd/store/types.h"

namespace tmem::control {

nlohmann::json to_json(const store::StoreStats& stats);
nlohmann::json to_json(const store::ClientStats& stats);
nlohmann::json to_json(const store::ClientSettings& settings);  // no cap: "cap_pages" is null

}  // namespace tmem::control
