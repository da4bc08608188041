// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/arbiter/guest_rules.h"

namespace tmem::arbiter {
namespace {

constexpr uint64_t kLeastBytes = 64 * kMiB;

}  // namespace

policy::GuestSettings effective_settings(const GuestRule& rule, uint64_t ceiling_bytes,
                                         uint32_t pool_weight) {
  policy::GuestSettings settings;
  settings.max_bytes = std::min(rule.max_bytes.value_or(ceiling_bytes), ceiling_bytes);
  const uint64_t least_bytes = std::max(kLeastBytes, settings.max_bytes / 4);
  settings.min_bytes = std::min(rule.min_bytes.value_or(least_bytes), settings.max_bytes);
  settings.weight = rule.weight.value_or(pool_weight);
  settings.priority = rule.priority.value_or(0);
  return settings;
}

}  // namespace tmem::arbiter
