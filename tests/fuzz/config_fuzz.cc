// SPDX-License-Identifier: GPL-2.0-or-later
// Bytes -> a configuration file. It is refused with a place, or gives a configuration that keeps
// its promises.
#include <string_view>

#include "libtmem/base/assert.h"
#include "tmemd/control/config.h"
#include "tmemd/control/settings.h"

namespace {

using namespace tmem;

void check_settings(const store::ClientSettings& settings) {
  TMEM_ASSERT(settings.weight <= control::kWeightMax);
  TMEM_ASSERT((settings.dedup == store::DedupScope::kGroup) ==
              control::is_group_name(settings.dedup_group));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = control::parse_config(text, "fuzz.toml");
  if (!config) {
    const std::string& message = config.error().message;
    TMEM_ASSERT(config.error().code == Errc::kMalformed && message.starts_with("fuzz.toml:"));
    for (const char c : message) TMEM_ASSERT(c >= 0x20 && c < 0x7f);
    return 0;
  }
  const uint64_t budget_bytes = config->store.budget_bytes;
  uint64_t guaranteed_bytes = control::reserve_bytes(budget_bytes);
  check_settings(config->defaults);
  for (const control::ClientRule& rule : config->clients) {
    check_settings(rule.settings);
    guaranteed_bytes += rule.settings.guarantee_bytes;
  }
  TMEM_ASSERT(guaranteed_bytes <= budget_bytes);
  TMEM_ASSERT(config->control.mode <= 0777 && config->loopback.mode <= 0777);
  TMEM_ASSERT(config->loopback.queues >= 1 && config->loopback.clients_max >= 1);
  return 0;
}
