// SPDX-License-Identifier: GPL-2.0-or-later
// The list of strategies.
#include "policy/baselines/mom.h"
#include "policy/baselines/proxmox.h"
#include "policy/baselines/qmemman.h"
#include "policy/baselines/self_balloon.h"
#include "policy/baselines/senpai.h"
#include "policy/baselines/squeezed.h"
#include "policy/baselines/static.h"
#include "policy/selfballoon_psi.h"
#include "policy/strategy.h"

namespace tmem::policy {
namespace {

struct Entry {
  StrategyKind kind;
  std::unique_ptr<Strategy> (*make)(double knob);
};

const std::vector<Entry>& entries() {
  static const std::vector<Entry> entries = {
      {{"selfballoon+psi",
        "ours: use, returning pages and PSI; shares by weight",
        {0.00003, 0.0001, 0.0003, 0.0005, 0.0007, 0.001, 0.003, 0.01, 0.05, 0.2},
        0.001},
       make_selfballoon_psi},
      {{"static", "a fixed share of each guest's maximum", {1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4}, 1},
       baselines::make_static},
      {{"squeezed", "XAPI: the same share of each range", {1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4}, 1},
       baselines::make_squeezed},
      {{"mom", "oVirt: from what guests have unused", {0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0}, 0.2},
       baselines::make_mom},
      {{"qmemman", "Qubes OS: by what guests use", {2, 1.7, 1.5, 1.3, 1.2, 1.1, 1}, 1.3},
       baselines::make_qmemman},
      {{"qmemman-fixed", "the same, its sign corrected", {2, 1.7, 1.5, 1.3, 1.2, 1.1, 1}, 1.3},
       baselines::make_qmemman_fixed},
      {{"proxmox", "a share of the host in use", {1, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5}, 0.8},
       baselines::make_proxmox},
      {{"self-balloon", "Linux: Committed_AS", {0.3, 0.2, 0.15, 0.1, 0.05, 0.02, 0}, 0.1},
       baselines::make_self_balloon},
      {{"senpai", "as little as PSI allows: senpai.py", {1e3, 3e3, 1e4, 2e4, 4e4, 8e4, 1.6e5}, 1e4},
       baselines::make_senpai},
      {{"tmo", "the law of the TMO paper", {1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1}, 1e-3},
       baselines::make_tmo},
  };
  return entries;
}

}  // namespace

const std::vector<StrategyKind>& strategy_kinds() {
  static const std::vector<StrategyKind> kinds = [] {
    std::vector<StrategyKind> all;
    for (const Entry& entry : entries()) all.push_back(entry.kind);
    return all;
  }();
  return kinds;
}

std::unique_ptr<Strategy> make_strategy(std::string_view name, double knob) {
  for (const Entry& entry : entries())
    if (entry.kind.name == name) return entry.make(knob);
  return nullptr;
}

}  // namespace tmem::policy
