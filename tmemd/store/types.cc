// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/store/types.h"

namespace tmem::store {

std::string_view to_string(DedupScope scope) {
  static constexpr std::array<std::string_view, 4> kNames = {"none", "client", "group", "host"};
  return kNames[static_cast<size_t>(scope)];
}

std::string_view to_string(Status status) {
  static constexpr std::array<std::string_view, 8> kNames = {
      "ok", "miss", "no-space", "frozen", "no-such-pool", "refused", "stale-epoch", "bad-request"};
  return kNames[static_cast<size_t>(status)];
}

}  // namespace tmem::store
