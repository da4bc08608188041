// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/trace.h"

#include <fmt/format.h>

#include "tools/lab/policies/sim_host.h"

namespace tmem::lab::policies {
namespace {

double mib(uint64_t pages) {
  return static_cast<double>(pages * kPageBytes) / kMiB;
}

void trace_run(const Scenario& scenario, const Contender& contender, bool pool,
               StrategyMaker& maker, const Constants& constants, std::ostream& out) {
  const auto strategy = maker.make(contender, pool);
  SimHost host(scenario, constants, *strategy, pool);
  constexpr uint32_t kEvery = 1000 / kTickMs;
  std::vector<double> some_us(scenario.guests.size());
  while (host.now() < host.ticks()) {
    host.tick();
    if (host.now() % kEvery != 0) continue;
    for (uint32_t id = 0; id < scenario.guests.size(); ++id) {
      const SimGuest& guest = host.guest(id);
      const policy::PoolUse& use = host.pool().use(id);
      const double some = guest.counters().some_us - some_us[id];
      some_us[id] += some;
      out << fmt::format("{},{:g},{},{},{},{},", contender.policy, contender.knob, scenario.name,
                         pool ? "on" : "off", host.now() / kEvery, id + 1)
          << fmt::format("{:.0f},{:.0f},{:.0f},{:.0f},{:.0f},{:.0f},{:.0f},{:.0f},{:.0f},{:.4f}\n",
                         mib(guest.actual_pages()), mib(host.target_pages(id)),
                         mib(guest.need_pages()), mib(guest.free_pages()), mib(guest.anon_pages()),
                         mib(guest.file_pages()), mib(guest.swapped_pages()),
                         mib(use.persistent_pages), mib(use.ephemeral_pages), some / 1e6);
    }
  }
}

}  // namespace

void write_trace(const Evaluation& evaluation, const Constants& constants, std::ostream& out) {
  out << "policy,knob,scenario,pool,second,guest,actual,target,need,free,anon,file,swapped,"
         "pool_persistent,pool_ephemeral,some\n";
  for (const Scenario& scenario : evaluation.scenarios) {
    StrategyMaker maker(scenario, constants);
    for (const Contender& contender : evaluation.contenders)
      for (const bool pool : {false, true})
        trace_run(scenario, contender, pool, maker, constants, out);
  }
}

}  // namespace tmem::lab::policies
