// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/control/stats_json.h"

#include "tmem/text.hpp"

namespace tmem::control {
namespace {

using nlohmann::json;

json by_kind(const std::array<uint64_t, store::kKinds>& values) {
  return {{"ephemeral", values[0]}, {"persistent", values[1]}};
}

json by_tier(const std::array<uint64_t, store::kTiers>& values) {
  return {{"raw", values[0]}, {"lz4", values[1]}, {"zstd", values[2]}};
}

json to_json(const store::ClientCounters& counters) {
  return {{"puts", counters.puts},
          {"puts_ok", counters.puts_ok},
          {"puts_no_space", counters.puts_no_space},
          {"puts_frozen", counters.puts_frozen},
          {"puts_same_filled", counters.puts_same_filled},
          {"puts_duplicate", counters.puts_duplicate},
          {"puts_replaced", counters.puts_replaced},
          {"gets", counters.gets},
          {"hits", counters.hits},
          {"flushes", counters.flushes},
          {"flushes_found", counters.flushes_found},
          {"evicted_pages", counters.evicted_pages},
          {"persistent_puts", counters.persistent_puts},
          {"persistent_hits", counters.persistent_hits},
          {"ephemeral_misses", counters.ephemeral_misses}};
}

json to_json(const store::PoolStats& pool) {
  const bool ephemeral = pool.spec.kind == store::Kind::kEphemeral;
  return {{"id", static_cast<uint32_t>(pool.id)},
          {"spec",
           {{"kind", ephemeral ? "ephemeral" : "persistent"},
            {"shared", pool.spec.shared},
            {"uuid", format_uuid(pool.spec.uuid)}}},
          {"pages", pool.pages}};
}

}  // namespace

json to_json(const store::ClientSettings& settings) {
  const bool capped = settings.cap_pages != store::kNoCap;
  return {{"weight", settings.weight},
          {"cap_pages", capped ? json(settings.cap_pages) : json()},
          {"guarantee_bytes", settings.guarantee_bytes},
          {"compress", settings.compress},
          {"frozen", settings.frozen},
          {"dedup", store::to_string(settings.dedup)},
          {"dedup_group", settings.dedup_group}};
}

json to_json(const store::ClientStats& stats) {
  json pools = json::array();
  for (const store::PoolStats& pool : stats.pools) pools.push_back(to_json(pool));
  return {{"number", stats.number},
          {"identity",
           {{"uuid", format_uuid(stats.identity.uuid)},
            {"domid", static_cast<uint16_t>(stats.identity.domid)},
            {"name", stats.identity.name}}},
          {"is_shared_pool", stats.is_shared_pool},
          {"settings", to_json(stats.settings)},
          {"effective_weight", stats.effective_weight},
          {"counters", to_json(stats.counters)},
          {"pages", by_kind(stats.pages)},
          {"charged_bytes", by_kind(stats.charged_bytes)},
          {"credits", stats.credits},
          {"entitled_bytes", stats.entitled_bytes},
          {"pools", std::move(pools)}};
}

json to_json(const store::StoreStats& stats) {
  return {{"budget_bytes", stats.budget_bytes},
          {"held_bytes", stats.held_bytes},
          {"metadata_bytes", stats.metadata_bytes},
          {"heap_bytes", stats.heap_bytes},
          {"reserve_bytes", stats.reserve_bytes},
          {"freeable_bytes", stats.freeable_bytes},
          {"guaranteed_bytes", stats.guaranteed_bytes},
          {"pages", by_kind(stats.pages)},
          {"stored_bytes", by_kind(stats.stored_bytes)},
          {"same_filled_pages", stats.same_filled_pages},
          {"contents", stats.contents},
          {"duplicate_pages", stats.duplicate_pages},
          {"tier_pages", by_tier(stats.tier_pages)},
          {"tier_bytes", by_tier(stats.tier_bytes)},
          {"compressed_pages", stats.compressed_pages},
          {"recompressed_pages", stats.recompressed_pages},
          {"incompressible_pages", stats.incompressible_pages},
          {"evicted_pages", stats.evicted_pages},
          {"cleaned_pages", stats.cleaned_pages},
          {"segments", stats.segments},
          {"released_slots", stats.released_slots},
          {"clients", stats.clients}};
}

}  // namespace tmem::control
