// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/baselines/senpai.h"

#include <algorithm>
#include <cmath>

#include "libtmem/base/units.h"
#include "policy/baselines/common.h"

namespace tmem::policy::baselines {
namespace {

constexpr uint32_t kTickMs = 1000;
constexpr uint32_t kIntervalTicks = 6;
constexpr double kIntervalUs = 6e6;
constexpr double kProbeMax = 0.01;
constexpr double kProbeCoefficient = 10;  // full at a tenth of the target
constexpr double kBackoffMax = 1.0;
constexpr double kBackoffCoefficient = 20;  // full at twenty times the target
constexpr double kReclaimRatio = 0.0005;    // of the paper's law
constexpr uint64_t kLimitMinBytes = 100 * kMiB;

enum class Law : uint8_t { kSenpai, kPaper };

// The share of its memory that a guest loses.
double probe(Law law, double stall_us, double target_us) {
  if (law == Law::kPaper)
    return std::min(kProbeMax, kReclaimRatio * std::max(0.0, 1 - stall_us / target_us));
  const double error = target_us / std::max(stall_us, 1.0) / kProbeCoefficient;
  return std::min(kProbeMax, error * error * kProbeMax);
}

// The share of its memory that a guest gains.
double backoff(double stall_us, double target_us) {
  const double error = stall_us / target_us / kBackoffCoefficient;
  return std::min(kBackoffMax, error * error * kBackoffMax);
}

uint64_t floor_bytes(const GuestSettings& settings, const Sample& sample) {
  const uint64_t reclaimable_bytes = sample.free_bytes + sample.cache_bytes + sample.anon_bytes;
  return std::max(settings.min_bytes,
                  kLimitMinBytes + minus_or_zero(sample.total_bytes, reclaimable_bytes));
}

uint64_t whole_pages(uint64_t bytes) {
  return bytes / kPageBytes * kPageBytes;
}

struct Guest {
  uint64_t limit_bytes = 0;
  uint64_t some_us = 0;  // PSI's total when last seen
  double stall_us = 0;   // since the last change
  uint32_t grace_ticks = kIntervalTicks;
};

class Senpai final : public Strategy {
 public:
  Senpai(std::string_view name, Law law, double target_us)
      : name_(name), law_(law), target_us_(target_us) {}
  std::string_view name() const override { return name_; }
  uint32_t period_ms() const override { return kTickMs; }

  Plan plan(const HostView& host, std::span<const Estimate> estimates) override {
    forget_gone(guests_, estimates);
    Plan plan;
    for (const Estimate& estimate : estimates) {
      if (!estimate.sample || !estimate.sample->pressure || !estimate.facts.can_balloon) continue;
      const char* reason = "grace";
      const auto [guest, is_new] = guests_.try_emplace(estimate.facts.id);
      if (is_new) {
        guest->second.some_us = estimate.sample->pressure->some_us;
        set_limit(guest->second, estimate, static_cast<double>(estimate.facts.actual_bytes));
      } else {
        reason = tick(guest->second, estimate);
      }
      plan.wishes.push_back({estimate.facts.id, guest->second.limit_bytes, reason});
    }
    clamp_by_weight(host, estimates, plan);
    for (Wish& wish : plan.wishes)
      wish.target_bytes = guests_.at(wish.id).limit_bytes = whole_pages(wish.target_bytes);
    return plan;
  }

 private:
  const char* tick(Guest& guest, const Estimate& estimate) const {
    const uint64_t some_us = estimate.sample->pressure->some_us;
    guest.stall_us += static_cast<double>(minus_or_zero(some_us, guest.some_us));
    guest.some_us = some_us;
    if (guest.stall_us > target_us_) {
      adjust(guest, estimate, backoff(guest.stall_us, target_us_));
      return "backoff";
    }
    if (guest.grace_ticks > 0) {
      --guest.grace_ticks;
      return "grace";
    }
    adjust(guest, estimate, -probe(law_, guest.stall_us, target_us_));
    return "probe";
  }

  static void adjust(Guest& guest, const Estimate& estimate, double share) {
    const auto limit_bytes = static_cast<double>(guest.limit_bytes);
    set_limit(guest, estimate, limit_bytes + limit_bytes * share);
    guest.stall_us = 0;
    guest.grace_ticks = kIntervalTicks - 1;
  }

  static void set_limit(Guest& guest, const Estimate& estimate, double bytes) {
    const GuestSettings& settings = estimate.facts.settings;
    const uint64_t limit_bytes =
        std::min(settings.max_bytes,
                 std::max(floor_bytes(settings, *estimate.sample), static_cast<uint64_t>(bytes)));
    guest.limit_bytes = whole_pages(limit_bytes);
  }

  const std::string_view name_;
  const Law law_;
  const double target_us_;
  std::map<GuestId, Guest> guests_;
};

}  // namespace

std::unique_ptr<Strategy> make_senpai(double stall_us) {
  return std::make_unique<Senpai>("senpai", Law::kSenpai, stall_us);
}
std::unique_ptr<Strategy> make_tmo(double threshold) {
  return std::make_unique<Senpai>("tmo", Law::kPaper, threshold * kIntervalUs);
}

}  // namespace tmem::policy::baselines
