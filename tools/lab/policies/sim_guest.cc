// SPDX-License-Identifier: GPL-2.0-or-later
// What the guest's programs do: regions come into use, chunks are touched.
#include "tools/lab/policies/sim_guest.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tmem::lab::policies {
namespace {

uint32_t chunks_in(const GuestScript& script) {
  uint32_t chunks = 0;
  for (const Region& region : script.regions) chunks += region.chunks;
  return chunks;
}

uint32_t ticks_of(uint32_t ms) {
  return std::max(1u, ms / kTickMs);
}

// Logarithmically uniform between the bounds.
uint32_t draw_period(const Region& region, Rng& rng) {
  const double part = static_cast<double>(rng.next() >> 11) * 0x1p-53;
  const double low = std::max(region.period_min_ms, kTickMs);
  const double high = std::max<double>(region.period_max_ms, low);
  return static_cast<uint32_t>(low * std::pow(high / low, part));
}

}  // namespace

SimGuest::SimGuest(const Scenario& scenario, uint32_t id, const Constants& constants,
                   HostPool& pool, SharedDisk& disk, uint64_t actual_pages)
    : script_(scenario.guests[id]),
      id_(id),
      constants_(constants),
      pool_(pool),
      disk_(disk),
      rng_(mix(scenario.seed, 0x6775657374, id)),
      actual_pages_(actual_pages),
      free_pages_(actual_pages - std::min(actual_pages, script_.kernel_pages)),
      links_(chunks_in(script_)),
      wheel_(chunks_in(script_)),
      stalls_(std::clamp(script_.tasks, 1u, kTasksMax)) {
  chunks_.reserve(chunks_in(script_));
  for (uint16_t region = 0; region < script_.regions.size(); ++region) add_region(region);
  populate();
}

void SimGuest::add_region(uint16_t region) {
  const Region& spec = script_.regions[region];
  region_begin_.push_back(static_cast<uint32_t>(chunks_.size()));
  is_committed_.push_back(false);
  for (uint32_t i = 0; i < spec.chunks; ++i) {
    Chunk chunk;
    chunk.region = region;
    chunk.kind = spec.kind;
    chunk.task = static_cast<uint8_t>(chunks_.size() % stalls_.tasks());
    chunk.period_ms = draw_period(spec, rng_);
    chunk.random = static_cast<uint32_t>(rng_.next());
    chunks_.push_back(chunk);
  }
}

// The scenario begins with what is in use in memory, as far as it fits; the often touched is in.
void SimGuest::populate() {
  std::vector<uint32_t> order;
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    const Region& region = script_.regions[chunks_[c].region];
    if (region.in_use && !region.streaming) order.push_back(c);
  }
  std::stable_sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
    return chunks_[a].period_ms < chunks_[b].period_ms;
  });
  for (const uint32_t c : order) {
    Chunk& chunk = chunks_[c];
    const uint64_t spare = free_pages_ - std::min(free_pages_, watermark_pages());
    const auto pages = static_cast<uint32_t>(std::min<uint64_t>(kChunkPages, spare));
    chunk.was_read = true;
    if (chunk.kind == Kind::kAnon) {
      allocated_anon_pages_ += kChunkPages;
      chunk.swapped = kChunkPages - pages;
    }
    resident_pages_[static_cast<size_t>(chunk.kind)] += pages;
    free_pages_ -= pages;
    chunk.resident = pages;
    chunk.is_active = true;
  }
  for (auto it = order.rbegin(); it != order.rend(); ++it)
    if (chunks_[*it].resident > 0) list_newest(*it);
  for (uint32_t region = 0; region < script_.regions.size(); ++region)
    if (script_.regions[region].in_use) start_use(region, 0, false);
}

bool SimGuest::is_needed(const Chunk& chunk) const {
  return chunk.in_use && chunk.period_ms <= constants_.measure.hot_period_ms &&
         !script_.regions[chunk.region].streaming;
}

uint64_t SimGuest::needed_pages_in_pool() const {
  uint64_t pages = 0;
  for (uint32_t c = 0; c < chunks_.size(); ++c)
    if (is_needed(chunks_[c])) pages += pool_.pages_of(id_, c);
  return pages;
}

void SimGuest::start_use(uint32_t region, uint32_t tick, bool at_once) {
  const Region& spec = script_.regions[region];
  if (spec.kind == Kind::kAnon && !is_committed_[region]) {
    committed_pages_ += uint64_t{spec.chunks} * kChunkPages;
    is_committed_[region] = true;
  }
  const uint32_t begin = region_begin_[region];
  constexpr uint32_t kBurstTicks = 1000 / kTickMs;
  for (uint32_t i = 0; i < spec.chunks; ++i) {
    Chunk& chunk = chunks_[begin + i];
    const bool was_in_use = std::exchange(chunk.in_use, true);
    if (!was_in_use && is_needed(chunk)) hot_pages_ += kChunkPages;
    chunk.waits_first = at_once;
    if (wheel_.is_scheduled(begin + i)) continue;
    const uint32_t span = spec.streaming ? spec.period_max_ms / kTickMs : ticks_of(chunk.period_ms);
    const uint32_t delay =
        at_once ? i * kBurstTicks / spec.chunks
                : (spec.streaming ? static_cast<uint32_t>(uint64_t{i} * span / spec.chunks)
                                  : rng_.below(span));
    wheel_.schedule(begin + i, tick + delay);
  }
  if (!at_once) return;
  bursts_.push_back({region, tick, UINT32_MAX, {}});
  bursts_.back().done_ms.reserve(spec.chunks);
}

void SimGuest::stop_use(uint32_t region, uint32_t tick, bool free) {
  for (Burst& burst : bursts_)
    if (burst.region == region) burst.end_tick = std::min(burst.end_tick, tick);
  if (free && is_committed_[region]) {
    committed_pages_ -= uint64_t{script_.regions[region].chunks} * kChunkPages;
    is_committed_[region] = false;
  }
  const uint32_t begin = region_begin_[region];
  for (uint32_t c = begin; c < begin + script_.regions[region].chunks; ++c) {
    Chunk& chunk = chunks_[c];
    if (is_needed(chunk)) hot_pages_ -= kChunkPages;
    chunk.in_use = false;
    chunk.waits_first = false;
    if (free && chunk.kind == Kind::kAnon) free_chunk(c);
  }
}

void SimGuest::free_chunk(uint32_t c) {
  Chunk& chunk = chunks_[c];
  const uint32_t in_pool = pool_.pages_of(id_, c);
  allocated_anon_pages_ -= chunk.resident + chunk.swapped + in_pool;
  if (chunk.resident > 0) unlist(c);
  resident_pages_[0] -= chunk.resident;
  free_pages_ += chunk.resident;
  chunk.resident = 0;
  chunk.swapped = 0;
  if (in_pool > 0) pool_.flush_persistent(id_, c);
}

void SimGuest::handle_events(uint32_t tick) {
  while (next_event_ < script_.events.size() &&
         script_.events[next_event_].at_ms <= tick * kTickMs) {
    const Event& event = script_.events[next_event_++];
    switch (event.action) {
      case Action::kUse:
        start_use(event.region, tick, false);
        break;
      case Action::kBurst:
        start_use(event.region, tick, true);
        break;
      case Action::kRest:
        stop_use(event.region, tick, false);
        break;
      case Action::kFree:
        stop_use(event.region, tick, true);
        break;
    }
  }
}

void SimGuest::run(uint32_t tick) {
  handle_events(tick);
  background_reclaim(watermark_pages());
  wheel_.deliver(tick, [this, tick](uint32_t c) { touch(c, tick); });
  const PressureTick pressure = stalls_.end_tick();
  some_us_of_tick_ = pressure.some_us;
  counters_.some_us += pressure.some_us;
  counters_.full_us += pressure.full_us;
}

// A period give or take a quarter; each chunk has its own numbers, whatever a policy does.
uint32_t SimGuest::next_touch(Chunk& chunk, uint32_t tick) const {
  chunk.random = chunk.random * 1664525u + 1013904223u;
  const uint64_t jitter = 768 + (chunk.random >> 23);  // 768 .. 1279 of 1024
  return tick + ticks_of(static_cast<uint32_t>(chunk.period_ms * jitter / 1024));
}

void SimGuest::touch(uint32_t c, uint32_t tick) {
  Chunk& chunk = chunks_[c];
  if (!chunk.in_use) return;
  if (stalls_.is_blocked(chunk.task)) return wheel_.schedule(c, tick + 1);
  const bool again = chunk.resident > 0;
  if (again) {
    unlist(c);
    chunk.is_active = true;
    list_newest(c);
  }
  if (chunk.resident < kChunkPages) {
    if (!again) chunk.is_active = chunk.kind == Kind::kAnon || chunk.was_read;
    double stall_us = 0;
    const bool done = fault_in(c, kChunkPages - chunk.resident, stall_us);
    if (stall_us > 0) stalls_.add(chunk.task, stall_us);
    if (!done) {
      stalls_.block(chunk.task);
      return wheel_.schedule(c, tick + 1);
    }
  }
  if (chunk.waits_first) served(chunk, tick);
  if (!script_.regions[chunk.region].streaming) wheel_.schedule(c, next_touch(chunk, tick));
}

// A burst's chunk has its memory, once its task is through what it waits for.
void SimGuest::served(Chunk& chunk, uint32_t tick) {
  chunk.waits_first = false;
  for (auto burst = bursts_.rbegin(); burst != bursts_.rend(); ++burst) {
    if (burst->region != chunk.region) continue;
    burst->done_ms.push_back((tick - burst->begin_tick) * double{kTickMs} +
                             stalls_.debt_us(chunk.task) / 1000);
    return;
  }
}

}  // namespace tmem::lab::policies
