// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/loop.h"

#include <algorithm>

namespace tmem::policy {

Result<Loop> Loop::create(const std::string& strategy, std::optional<double> knob) {
  std::string names;
  for (const StrategyKind& kind : strategy_kinds()) {
    if (kind.name == strategy) {
      const double value = knob.value_or(kind.default_knob);
      return Loop(make_strategy(strategy, value), value);
    }
    names += (names.empty() ? "" : ", ") + std::string(kind.name);
  }
  return fail(Errc::kNotFound, "there is no strategy '" + strategy + "'; choose one of " + names);
}

const TickRecord& Loop::tick(const HostView& host, std::span<const GuestInput> inputs) {
  last_.guests.clear();
  last_.host = host;
  if (inputs.empty()) return last_;
  std::vector<Estimate> estimates;
  for (const GuestInput& input : inputs) estimates.push_back(estimator_.update(host.now_ms, input));
  estimator_.forget_others(host.now_ms);
  const Plan plan = strategy_->plan(host, estimates);
  const BoundedPlan bounded = bound(host, estimates, plan);
  last_.number += 1;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const GuestId id = inputs[i].facts.id;
    const auto wish = std::ranges::find(plan.wishes, id, &Wish::id);
    last_.guests.push_back({inputs[i], estimates[i], estimator_.complaint(id),
                            wish == plan.wishes.end() ? std::nullopt : std::optional(*wish),
                            bounded.targets()[i]});
  }
  return last_;
}

}  // namespace tmem::policy
