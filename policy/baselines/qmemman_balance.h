// SPDX-License-Identifier: GPL-2.0-or-later
// Who shall have what: the arithmetic of qmemman (algo.py), without time.
#pragma once
#include <span>
#include <vector>

#include "policy/estimate.h"

namespace tmem::policy::baselines::qmemman {

enum class Sign : uint8_t { kAsShipped, kFixed };

struct Domain {
  GuestId id{};
  int64_t current_bytes = 0;
  int64_t actual_bytes = 0;  // or what it was last given, if that is more
  int64_t last_target_bytes = 0;
  int64_t max_bytes = 0;
  int64_t pref_bytes = 0;
  bool takes_part = false;  // its use is known, and it does not refuse
};

struct Request {
  GuestId id{};
  int64_t bytes = 0;
};

// What a guest that uses that much prefers.
int64_t preferred_bytes(int64_t used_bytes, int64_t max_bytes, double cache_factor);
// `free_bytes`: Xen's, less what shall stay free. Donors come first.
std::vector<Request> balance(int64_t free_bytes, std::span<const Domain> domains, Sign sign);

}  // namespace tmem::policy::baselines::qmemman
