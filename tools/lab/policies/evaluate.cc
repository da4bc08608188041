// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <mutex>
#include <optional>
#include <thread>

#include "tools/lab/policies/sim_host.h"

namespace tmem::lab::policies {
namespace {

struct PolicyKind {
  std::string name;
  std::vector<double> knobs;
  double default_knob = 0;
};

std::vector<PolicyKind> all_kinds() {
  std::vector<PolicyKind> kinds;
  for (const policy::StrategyKind& kind : policy::strategy_kinds())
    kinds.push_back({std::string(kind.name), kind.knobs, kind.default_knob});
  kinds.push_back({std::string(kBestStatic), {1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4}, 1});  // as static
  return kinds;
}

std::string known_names(const std::vector<PolicyKind>& kinds) {
  std::string text;
  for (const PolicyKind& kind : kinds) text += (text.empty() ? "" : ", ") + kind.name;
  return text;
}

template <class Number>
std::optional<Number> parse(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void add_kind(const PolicyKind& kind, bool all_knobs, std::vector<Contender>& contenders) {
  if (!all_knobs) return contenders.push_back({kind.name, kind.default_knob, true});
  std::vector<double> knobs = kind.knobs;
  if (std::find(knobs.begin(), knobs.end(), kind.default_knob) == knobs.end())
    knobs.push_back(kind.default_knob);
  for (const double knob : knobs)
    contenders.push_back({kind.name, knob, knob == kind.default_knob});
}

// All runs of one scenario.
void run_scenario(Evaluation& evaluation, uint32_t index, const Constants& constants) {
  const Scenario& scenario = evaluation.scenarios[index];
  StrategyMaker maker(scenario, constants);
  size_t at = size_t{index} * evaluation.contenders.size() * 2;
  for (const Contender& contender : evaluation.contenders) {
    for (const bool pool : {false, true}) {
      const auto strategy = maker.make(contender, pool);
      evaluation.rows[at++] = {contender, index, pool,
                               SimHost(scenario, constants, *strategy, pool).run()};
    }
  }
}

}  // namespace

Result<std::vector<Contender>> choose_contenders(const std::vector<std::string>& names,
                                                 bool all_knobs) {
  const std::vector<PolicyKind> kinds = all_kinds();
  std::vector<Contender> contenders;
  if (names.empty())
    for (const PolicyKind& kind : kinds) add_kind(kind, all_knobs, contenders);
  for (const std::string& name : names) {
    const size_t sign = std::min(name.find('@'), name.size());
    const auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const PolicyKind& each) {
      return each.name == std::string_view(name).substr(0, sign);
    });
    if (kind == kinds.end())
      return fail(Errc::kNotFound,
                  fmt::format("no policy {}; there are {}", name, known_names(kinds)));
    if (sign == name.size()) {
      add_kind(*kind, all_knobs, contenders);
      continue;
    }
    const auto knob = parse<double>(std::string_view(name).substr(sign + 1));
    if (!knob) return fail(Errc::kMalformed, "after @ there must be a number: " + name);
    contenders.push_back({kind->name, *knob, *knob == kind->default_knob});
  }
  return contenders;
}

Result<std::vector<Scenario>> choose_scenarios(const std::vector<std::string>& names, uint64_t seed,
                                               uint32_t count) {
  const auto& all = families();
  std::vector<uint32_t> wanted;
  std::vector<Scenario> scenarios;
  for (const std::string& name : names) {
    const auto family = std::find_if(all.begin(), all.end(), [&](std::string_view each) {
      return name == each || name.starts_with(std::string(each) + "-");
    });
    const auto number = family == all.end() || name == *family
                            ? std::optional<uint32_t>(0)
                            : parse<uint32_t>(std::string_view(name).substr(family->size() + 1));
    if (family == all.end() || !number || *number > UINT32_MAX / all.size() - 1)
      return fail(Errc::kNotFound,
                  fmt::format("no scenario {}; families are {}", name, fmt::join(all, ", ")));
    const auto place = static_cast<uint32_t>(family - all.begin());
    if (name == *family)
      wanted.push_back(place);
    else
      scenarios.push_back(make_scenario(seed, *number * static_cast<uint32_t>(all.size()) + place));
  }
  if (names.empty())
    for (uint32_t i = 0; i < all.size(); ++i) wanted.push_back(i);
  if (wanted.empty()) return scenarios;
  if (count == 0) count = static_cast<uint32_t>(wanted.size());
  for (uint32_t i = 0; i < count; ++i) {
    const auto turn = static_cast<uint32_t>(i / wanted.size() * all.size());
    scenarios.push_back(make_scenario(seed, turn + wanted[i % wanted.size()]));
  }
  return scenarios;
}

std::unique_ptr<policy::Strategy> StrategyMaker::make(const Contender& contender, bool pool) {
  if (contender.policy != kBestStatic)
    return policy::make_strategy(contender.policy, contender.knob);
  if (!best_) best_.emplace(scenario_, constants_);
  return make_fixed_split(best_->search(contender.knob, pool));
}

void run_all(Evaluation& evaluation, const Constants& constants, uint32_t threads,
             const ProgressFn& progress) {
  const size_t total = evaluation.scenarios.size();
  evaluation.rows.resize(total * evaluation.contenders.size() * 2);
  std::mutex mutex;
  size_t next = 0;
  size_t done = 0;
  const auto work = [&] {
    for (std::unique_lock lock(mutex); next < total;) {
      const auto index = static_cast<uint32_t>(next++);
      lock.unlock();
      run_scenario(evaluation, index, constants);
      lock.lock();
      progress(++done, total);
    }
  };
  std::vector<std::jthread> helpers;
  for (uint32_t i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
}

}  // namespace tmem::lab::policies
