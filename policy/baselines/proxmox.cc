// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/baselines/proxmox.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "libtmem/base/units.h"
#include "policy/baselines/common.h"

namespace tmem::policy::baselines {
namespace {

constexpr uint32_t kPeriodMs = 10'000;
constexpr int64_t kChangeMaxBytes = 100 * kMiB;  // of a guest in a period
constexpr int64_t kGoalMinBytes = 10 * kMiB;     // less is not worth it
constexpr double kFreeShareOfMin = 0.25;         // a guest with more is relaxed

struct Guest {
  GuestId id{};
  int64_t balloon_bytes = 0;  // what it has
  int64_t min_bytes = 0;
  int64_t max_bytes = 0;
  int64_t shares = 0;
  bool relaxed = false;
  std::optional<int64_t> target_bytes;  // decided in this round

  int64_t planned_bytes() const { return target_bytes.value_or(balloon_bytes); }
};

std::vector<Guest> guests_of(std::span<const Estimate> estimates) {
  std::vector<Guest> guests;
  for (const Estimate& estimate : estimates) {
    const GuestFacts& facts = estimate.facts;
    const GuestSettings& settings = facts.settings;
    if (!facts.can_balloon || settings.min_bytes == 0 || settings.weight == 0) continue;
    const bool has_free =
        estimate.sample && static_cast<double>(estimate.sample->free_bytes) >
                               kFreeShareOfMin * static_cast<double>(settings.min_bytes);
    guests.push_back({facts.id, static_cast<int64_t>(facts.actual_bytes),
                      static_cast<int64_t>(settings.min_bytes),
                      static_cast<int64_t>(settings.max_bytes), settings.weight,
                      has_free && facts.actual_bytes >= settings.min_bytes, std::nullopt});
  }
  return guests;
}

// One distribution of a goal over some of the guests.
class Distribution {
 public:
  Distribution(std::vector<Guest*> guests, int64_t goal_bytes)
      : open_(std::move(guests)), grows_(goal_bytes > 0), rest_bytes_(goal_bytes) {}

  // What is left of the goal.
  int64_t run() {
    while (rest_bytes_ != 0 && pass()) {
    }
    return rest_bytes_;
  }

 private:
  // Whether another pass may bring more.
  bool pass() {
    int64_t shares = 0;
    int64_t above_min_bytes = rest_bytes_;
    for (const Guest* guest : open_) {
      shares += guest->shares;
      above_min_bytes += guest->planned_bytes() - guest->min_bytes;
    }
    if (shares == 0) return false;
    const double per_share = static_cast<double>(above_min_bytes) / static_cast<double>(shares);
    bool progress = false;
    std::erase_if(open_, [&](Guest* guest) {
      const int64_t desired_bytes =
          guest->min_bytes + static_cast<int64_t>(per_share * static_cast<double>(guest->shares));
      const int64_t bytes =
          step(*guest, std::max(guest->min_bytes, std::min(desired_bytes, guest->max_bytes)));
      if (bytes == guest->balloon_bytes) return true;  // it is done
      const int64_t change_bytes = bytes - guest->planned_bytes();
      guest->target_bytes = bytes;
      rest_bytes_ -= change_bytes;
      progress |= change_bytes != 0;
      return false;
    });
    return progress;
  }

  // When the goal is to shrink, none grows. When it is to grow, one above its share shrinks.
  int64_t step(const Guest& guest, int64_t desired_bytes) const {
    if (desired_bytes > guest.balloon_bytes)
      return grows_ ? std::min(desired_bytes, guest.balloon_bytes + kChangeMaxBytes)
                    : guest.balloon_bytes;
    return std::max(desired_bytes, guest.balloon_bytes - kChangeMaxBytes);
  }

  std::vector<Guest*> open_;
  const bool grows_;
  int64_t rest_bytes_;
};

std::vector<Guest*> pointers(std::vector<Guest>& guests, std::optional<bool> relaxed) {
  std::vector<Guest*> chosen;
  for (Guest& guest : guests)
    if (!relaxed || guest.relaxed == *relaxed) chosen.push_back(&guest);
  return chosen;
}

class Proxmox final : public Strategy {
 public:
  explicit Proxmox(double used_target) : used_target_(used_target) {}
  std::string_view name() const override { return "proxmox"; }
  uint32_t period_ms() const override { return kPeriodMs; }

  Plan plan(const HostView& host, std::span<const Estimate> estimates) override {
    const auto used_bytes = static_cast<double>(minus_or_zero(host.total_bytes, free_bytes(host)));
    const auto goal_bytes =
        static_cast<int64_t>(used_target_ * static_cast<double>(host.total_bytes) - used_bytes);
    if (std::abs(goal_bytes) <= kGoalMinBytes) return {};
    const bool grows = goal_bytes > 0;
    std::vector<Guest> guests = guests_of(estimates);
    const int64_t rest_bytes = Distribution(pointers(guests, !grows), goal_bytes).run();
    const bool none_changed = grows ? rest_bytes >= goal_bytes : rest_bytes <= goal_bytes;
    if (none_changed) Distribution(pointers(guests, std::nullopt), rest_bytes).run();
    Plan plan;
    for (const Guest& guest : guests)
      if (guest.target_bytes)
        plan.wishes.push_back({guest.id, static_cast<uint64_t>(*guest.target_bytes),
                               grows ? "host below target" : "host above target"});
    return plan;
  }

 private:
  const double used_target_;
};

}  // namespace

std::unique_ptr<Strategy> make_proxmox(double used_target) {
  return std::make_unique<Proxmox>(used_target);
}

}  // namespace tmem::policy::baselines
