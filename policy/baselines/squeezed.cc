// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/baselines/squeezed.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>

#include "libtmem/base/units.h"
#include "policy/baselines/common.h"

namespace tmem::policy::baselines {
namespace {

constexpr uint32_t kStepMs = 1000;        // between targets of a run
constexpr uint32_t kCheckSteps = 10;      // balance-check-interval: 10 s
constexpr uint64_t kStuckMs = 5000;       // without progress
constexpr int64_t kSlushKib = 72 * 1024;  // low memory 64 MiB, and 8 MiB
constexpr int64_t kInaccuracyKib = 4;     // of a balloon

int64_t to_kib(uint64_t bytes) {
  return static_cast<int64_t>(bytes / kKiB);
}

struct Domain {
  GuestId id{};
  bool can_balloon = true;
  int64_t min_kib = 0;
  int64_t max_kib = 0;
  int64_t target_kib = 0;
  int64_t actual_kib = 0;
  int64_t ideal_kib = 0;

  bool is_at(int64_t kib) const { return std::abs(actual_kib - kib) <= kInaccuracyKib; }
  bool has_to_free() const { return !is_at(ideal_kib) && ideal_kib < actual_kib; }
};

// Which balloon drivers get no nearer to their targets.
class StuckMonitor {
 public:
  void update(const std::vector<Domain>& domains, uint64_t now_ms) {
    for (const Domain& domain : domains) {
      State& state = states_.try_emplace(domain.id, domain.actual_kib, now_ms, false).first->second;
      const int64_t moved_kib = domain.actual_kib - state.actual_kib;
      const bool asked = !domain.is_at(domain.target_kib);
      const bool up = domain.target_kib > domain.actual_kib;
      state.actual_kib = domain.actual_kib;
      if (asked && (up ? moved_kib > 0 : moved_kib < 0)) {
        state.progress_ms = now_ms;
        state.stuck = false;
      }
      if (asked && now_ms - state.progress_ms > kStuckMs) state.stuck = true;
    }
  }
  bool is_stuck(GuestId id) const {
    const auto state = states_.find(id);
    return state != states_.end() && state->second.stuck;
  }

 private:
  struct State {
    State(int64_t actual, uint64_t now, bool is_stuck)
        : actual_kib(actual), progress_ms(now), stuck(is_stuck) {}
    int64_t actual_kib;
    uint64_t progress_ms;
    bool stuck;
  };
  std::map<GuestId, State> states_;
};

// What lasts until the host is balanced.
struct Run {
  StuckMonitor monitor;
  std::map<GuestId, int64_t> asked_kib;  // the targets that it set: the host may have bounded them

  int64_t target_kib(const Domain& domain) const {
    const auto asked = asked_kib.find(domain.id);
    return asked == asked_kib.end() ? domain.target_kib : asked->second;
  }
};

// (target - min) / (max - min) becomes the same for all.
void set_ideals(std::vector<Domain>& domains, int64_t free_kib, int64_t slush_kib) {
  int64_t surplus_kib = free_kib - slush_kib;
  int64_t ranges_kib = 0;
  for (const Domain& domain : domains) {
    surplus_kib += std::max(int64_t{0}, domain.actual_kib - domain.min_kib - 2 * kInaccuracyKib);
    ranges_kib += domain.max_kib - domain.min_kib;
  }
  surplus_kib = std::max(int64_t{0}, surplus_kib);
  const double share =
      ranges_kib == 0
          ? 0
          : std::min(1.0, static_cast<double>(surplus_kib) / static_cast<double>(ranges_kib));
  for (Domain& domain : domains)
    domain.ideal_kib =
        domain.min_kib +
        static_cast<int64_t>(share * static_cast<double>(domain.max_kib - domain.min_kib));
}

class Squeezed final : public Strategy {
 public:
  explicit Squeezed(double dynamic_max_share) : dynamic_max_share_(dynamic_max_share) {}
  std::string_view name() const override { return "squeezed"; }
  uint32_t period_ms() const override { return kStepMs; }

  Plan plan(const HostView& host, std::span<const Estimate> estimates) override {
    const bool check = step_++ % kCheckSteps == 0;
    if (!run_ && !check) return {};
    const bool begins = !run_;
    if (begins) run_.emplace();
    const Step step = next_step(host, estimates, *run_);
    // What would change nothing is no reason to begin a run.
    if (step.ends || (begins && !step.changes)) run_.reset();
    return run_ ? step.plan : Plan{};
  }

 private:
  struct Step {
    Plan plan;
    bool changes = false;
    bool ends = false;  // well or not
  };

  std::vector<Domain> active(std::span<const Estimate> estimates, uint64_t now_ms,
                             StuckMonitor& monitor) const {
    std::vector<Domain> domains;
    for (const Estimate& estimate : estimates) {
      const GuestFacts& facts = estimate.facts;
      const int64_t min_kib = to_kib(facts.settings.min_bytes);
      const int64_t range_kib =
          to_kib(minus_or_zero(facts.settings.max_bytes, facts.settings.min_bytes));
      const auto dynamic_kib =
          static_cast<int64_t>(dynamic_max_share_ * static_cast<double>(range_kib));
      domains.push_back({facts.id, facts.can_balloon, min_kib, min_kib + dynamic_kib,
                         to_kib(facts.target_bytes), to_kib(facts.actual_bytes), 0});
    }
    monitor.update(domains, now_ms);
    std::erase_if(domains,
                  [&](const Domain& d) { return !d.can_balloon || monitor.is_stuck(d.id); });
    return domains;
  }

  Step next_step(const HostView& host, std::span<const Estimate> estimates, Run& run) const {
    std::vector<Domain> domains = active(estimates, host.now_ms, run.monitor);
    set_ideals(domains, to_kib(free_bytes(host)),
               std::max(kSlushKib, to_kib(host.head_room_bytes)));
    const bool frees = std::any_of(domains.begin(), domains.end(),
                                   [](const Domain& d) { return d.has_to_free(); });
    Step step;
    bool all_there = true;
    for (const Domain& domain : domains) {
      all_there &= domain.is_at(domain.target_kib);
      if (domain.has_to_free() != frees) continue;  // in the other phase
      step.changes |= domain.ideal_kib != run.target_kib(domain);
      run.asked_kib[domain.id] = domain.ideal_kib;
      step.plan.wishes.push_back({domain.id, static_cast<uint64_t>(domain.ideal_kib) * kKiB,
                                  frees ? "shrink first" : "proportional"});
    }
    step.ends = all_there && !step.changes;
    return step;
  }

  const double dynamic_max_share_;
  uint64_t step_ = 0;
  std::optional<Run> run_;
};

}  // namespace

std::unique_ptr<Strategy> make_squeezed(double dynamic_max_share) {
  return std::make_unique<Squeezed>(dynamic_max_share);
}

}  // namespace tmem::policy::baselines
