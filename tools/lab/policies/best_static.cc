// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/best_static.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "policy/baselines/static.h"
#include "tools/lab/policies/sim_host.h"

namespace tmem::lab::policies {
namespace {

constexpr uint32_t kLevels = 16;  // of a guest's maximum
constexpr uint64_t kCellPages = 16 * kMiB / kPageBytes;
constexpr uint32_t kTrials = 32;  // whole runs in a search

// One guest's, while the others do nothing, on a host that is large enough for all.
StallCurve measure_curve(Scenario scenario, uint32_t id, const Constants& constants) {
  Split split;
  scenario.host_pages = 0;
  for (uint32_t each = 0; each < scenario.guests.size(); ++each) {
    GuestScript& guest = scenario.guests[each];
    split.push_back(guest.max_pages);
    scenario.host_pages += guest.max_pages * 11 / 10;
    guest.stuck_until_ms = 0;
    if (each == id) continue;
    guest.regions.clear();
    guest.events.clear();
  }
  StallCurve curve;
  for (uint32_t level = 1; level <= kLevels; ++level) {
    split[id] = scenario.guests[id].max_pages * level / kLevels;
    if (split[id] < scenario.guests[id].min_pages) continue;
    const auto strategy = make_fixed_split(split);
    const RunResult result = SimHost(scenario, constants, *strategy, false).run();
    curve.push_back({split[id], result.guests[id].stall_some});
  }
  return curve;
}

}  // namespace

std::unique_ptr<policy::Strategy> make_fixed_split(const Split& split) {
  policy::baselines::Split bytes;
  for (size_t i = 0; i < split.size(); ++i)
    bytes[policy::GuestId{static_cast<uint32_t>(i + 1)}] = split[i] * kPageBytes;
  return policy::baselines::make_static(std::move(bytes));
}

// Guest by guest: the least sum of stalls with so many cells of memory in all.
Split least_stall_split(const std::vector<StallCurve>& curves, uint64_t budget_pages) {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  const auto cells = static_cast<size_t>(budget_pages / kCellPages);
  std::vector<double> least(cells + 1, 0);
  std::vector<std::vector<uint16_t>> choice(curves.size(), std::vector<uint16_t>(cells + 1));
  for (size_t guest = 0; guest < curves.size(); ++guest) {
    std::vector<double> next(cells + 1, kNever);
    for (uint16_t level = 0; level < curves[guest].size(); ++level) {
      const size_t cost = (curves[guest][level].pages + kCellPages - 1) / kCellPages;
      for (size_t cell = cost; cell <= cells; ++cell) {
        const double sum = least[cell - cost] + curves[guest][level].stall_some;
        if (sum >= next[cell]) continue;
        next[cell] = sum;
        choice[guest][cell] = level;
      }
    }
    least = std::move(next);
  }
  std::vector<uint64_t> pages(curves.size());
  size_t cell = cells;
  const bool fits = least[cells] != kNever;
  for (size_t guest = curves.size(); guest-- > 0;) {
    pages[guest] = curves[guest][fits ? choice[guest][cell] : 0].pages;
    if (fits) cell -= (pages[guest] + kCellPages - 1) / kCellPages;
  }
  return pages;
}

BestStatic::BestStatic(const Scenario& scenario, const Constants& constants)
    : scenario_(scenario), constants_(constants) {
  for (uint32_t id = 0; id < scenario.guests.size(); ++id) {
    limits_.min_pages.push_back(scenario.guests[id].min_pages);
    limits_.max_pages.push_back(scenario.guests[id].max_pages);
    curves_.push_back(measure_curve(scenario, id, constants));
  }
}

uint64_t BestStatic::budget_pages(double share) const {
  const auto part = [](uint64_t whole, double of_it) {
    return static_cast<uint64_t>(static_cast<double>(whole) * of_it);
  };
  const uint64_t sum_pages =
      std::accumulate(limits_.max_pages.begin(), limits_.max_pages.end(), uint64_t{0});
  const uint64_t host_bytes = scenario_.host_pages * kPageBytes;
  const uint64_t head_room_bytes = part(host_bytes, constants_.pool.head_room_ratio);
  return std::min((host_bytes - head_room_bytes) / kPageBytes,
                  part(sum_pages, std::min(share, 1.0)));
}

Split BestStatic::split_by_size(double share) const {
  return divide(budget_pages(share), limits_.max_pages, limits_);
}

Split BestStatic::equal_split(double share) const {
  return divide(budget_pages(share), std::vector<uint64_t>(limits_.max_pages.size(), 1), limits_);
}

std::vector<double> BestStatic::run(const Split& split, bool pool) const {
  const auto strategy = make_fixed_split(split);
  const RunResult result = SimHost(scenario_, constants_, *strategy, pool).run();
  std::vector<double> stalls;
  for (const GuestResult& guest : result.guests) stalls.push_back(guest.stall_some);
  return stalls;
}

const Split& BestStatic::search(double share, bool pool) {
  const uint64_t budget = budget_pages(share);
  const auto [place, is_new] = found_.try_emplace({budget, pool});
  if (!is_new) return place->second;
  // All of the budget: what the grid leaves over too.
  const Split undisturbed = divide(budget, least_stall_split(curves_, budget), limits_);
  place->second = improve_split({split_by_size(share), equal_split(share), undisturbed}, limits_,
                                kTrials, [&](const Split& split) { return run(split, pool); });
  return place->second;
}

}  // namespace tmem::lab::policies
