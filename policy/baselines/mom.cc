// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/baselines/mom.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "policy/baselines/common.h"

namespace tmem::policy::baselines {
namespace {

constexpr uint32_t kSampleMs = 5000;
constexpr uint32_t kSamplesPerRound = 2;
constexpr size_t kSamplesAveraged = 10;
constexpr double kPressureThreshold = 0.20;  // of the host free
constexpr double kPressureCritical = 0.05;
constexpr double kChangeMax = 0.05;  // of what the guest has, a round
constexpr double kChangeMin = 0.0025;

// Of the last samples.
class Average {
 public:
  void add(double value) {
    values_.push_back(value);
    if (values_.size() > kSamplesAveraged) values_.pop_front();
  }
  double get() const {
    double sum = 0;
    for (double value : values_) sum += value;
    return values_.empty() ? 0 : sum / static_cast<double>(values_.size());
  }

 private:
  std::deque<double> values_;
};

struct Guest {
  Average current_bytes;
  Average unused_bytes;

  double used_bytes() const { return current_bytes.get() - unused_bytes.get(); }
};

class Mom final : public Strategy {
 public:
  explicit Mom(double guest_free_min) : guest_free_min_(guest_free_min) {}
  std::string_view name() const override { return "mom"; }
  uint32_t period_ms() const override { return kSampleMs; }

  Plan plan(const HostView& host, std::span<const Estimate> estimates) override {
    collect(host, estimates);
    Plan plan;
    if (++samples_ % kSamplesPerRound != 0 || host.total_bytes == 0) return plan;
    const double host_free = host_free_bytes_.get() / static_cast<double>(host.total_bytes);
    for (const Estimate& estimate : estimates) {
      if (!estimate.sample || !estimate.facts.can_balloon) continue;
      const auto current_bytes = static_cast<double>(estimate.facts.actual_bytes);
      const Guest& guest = guests_[estimate.facts.id];
      const bool pressed = host_free < kPressureThreshold;
      const double bytes = pressed ? shrunk(estimate, guest, host_free) : grown(estimate, guest);
      if (pressed && bytes > current_bytes) continue;
      if (std::abs(bytes - current_bytes) <= kChangeMin * current_bytes) continue;
      plan.wishes.push_back({estimate.facts.id, static_cast<uint64_t>(bytes),
                             !pressed                         ? "host has room"
                             : host_free <= kPressureCritical ? "host in want"
                                                              : "host under pressure"});
    }
    return plan;
  }

 private:
  void collect(const HostView& host, std::span<const Estimate> estimates) {
    forget_gone(guests_, estimates);
    host_free_bytes_.add(static_cast<double>(free_bytes(host)));
    for (const Estimate& estimate : estimates) {
      if (!estimate.sample) continue;
      Guest& guest = guests_[estimate.facts.id];
      guest.current_bytes.add(static_cast<double>(estimate.facts.actual_bytes));
      guest.unused_bytes.add(static_cast<double>(estimate.sample->free_bytes));
    }
  }

  static double floor(const Estimate& estimate, const Guest& guest, double guest_free) {
    const double current_bytes = static_cast<double>(estimate.facts.actual_bytes);
    return std::max(static_cast<double>(estimate.facts.settings.min_bytes),
                    guest.used_bytes() + guest_free * current_bytes);
  }
  double shrunk(const Estimate& estimate, const Guest& guest, double host_free) const {
    const double guest_free = host_free <= kPressureCritical
                                  ? host_free - kPressureCritical
                                  : guest_free_min_ * host_free / kPressureThreshold;
    return std::max((1 - kChangeMax) * static_cast<double>(estimate.facts.actual_bytes),
                    floor(estimate, guest, guest_free));
  }
  // A guest that has its maximum stays.
  double grown(const Estimate& estimate, const Guest& guest) const {
    const auto current_bytes = static_cast<double>(estimate.facts.actual_bytes);
    const auto max_bytes = static_cast<double>(estimate.facts.settings.max_bytes);
    if (current_bytes >= max_bytes) return current_bytes;
    const double bytes =
        std::max((1 + kChangeMax) * current_bytes, floor(estimate, guest, guest_free_min_));
    return std::min(bytes, max_bytes);
  }

  const double guest_free_min_;
  uint64_t samples_ = 0;
  Average host_free_bytes_;
  std::map<GuestId, Guest> guests_;
};

}  // namespace

std::unique_ptr<Strategy> make_mom(double guest_free_min) {
  return std::make_unique<Mom>(guest_free_min);
}

}  // namespace tmem::policy::baselines
