// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/best_static.h"

#include <algorithm>
#include <limits>

#include "tools/lab/policies/sim_host.h"

namespace tmem::lab::policies {
namespace {

constexpr uint32_t kLevels = 16;  // of a guest's maximum
constexpr uint32_t kLevelMin = 2;
constexpr uint64_t kCellPages = 16 * kMiB / kPageBytes;

class FixedSplit final : public policy::Strategy {
 public:
  explicit FixedSplit(std::vector<uint64_t> pages) : pages_(std::move(pages)) {}
  std::string_view name() const override { return "best-static"; }
  uint32_t period_ms() const override { return 1000; }
  policy::Plan plan(const policy::HostView& /*host*/,
                    std::span<const policy::Estimate> estimates) override {
    policy::Plan plan;
    for (size_t i = 0; i < estimates.size() && i < pages_.size(); ++i)
      plan.wishes.push_back({estimates[i].facts.id, pages_[i] * kPageBytes, "split"});
    return plan;
  }

 private:
  std::vector<uint64_t> pages_;
};

uint64_t level_pages(const GuestScript& guest, uint32_t level) {
  return guest.max_pages * level / kLevels;
}

std::vector<StallCurve> measure_curves(Scenario scenario, const Constants& constants) {
  scenario.host_pages = 0;
  for (GuestScript& guest : scenario.guests) {
    scenario.host_pages += guest.max_pages * 11 / 10;
    guest.stuck_until_ms = 0;
  }
  std::vector<StallCurve> curves(scenario.guests.size());
  for (uint32_t level = kLevelMin; level <= kLevels; ++level) {
    std::vector<uint64_t> pages;
    for (const GuestScript& guest : scenario.guests) pages.push_back(level_pages(guest, level));
    FixedSplit strategy(pages);
    const RunResult result = SimHost(scenario, constants, strategy, false).run();
    for (size_t i = 0; i < curves.size(); ++i)
      curves[i].push_back({pages[i], result.guests[i].stall_some});
  }
  return curves;
}

}  // namespace

std::unique_ptr<policy::Strategy> make_fixed_split(std::vector<uint64_t> pages) {
  return std::make_unique<FixedSplit>(std::move(pages));
}

// Guest by guest: the least sum of stalls with so many cells of memory in all.
std::vector<uint64_t> least_stall_split(const std::vector<StallCurve>& curves,
                                        uint64_t budget_pages) {
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
    : usable_pages_(static_cast<uint64_t>(static_cast<double>(scenario.host_pages) *
                                          (1 - constants.pool.head_room_ratio))),
      curves_(measure_curves(scenario, constants)) {}

std::vector<uint64_t> BestStatic::split_pages(double share) const {
  return least_stall_split(curves_,
                           static_cast<uint64_t>(static_cast<double>(usable_pages_) * share));
}

std::unique_ptr<policy::Strategy> BestStatic::make(double share) const {
  return make_fixed_split(split_pages(share));
}

}  // namespace tmem::lab::policies
