// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/baselines/qmemman_balance.h"

#include <algorithm>

#include "libtmem/base/units.h"

namespace tmem::policy::baselines::qmemman {
namespace {

constexpr int64_t kPreferredMinBytes = 200 * kMiB;
constexpr int64_t kDonationMinBytes = 10 * kMiB;
constexpr double kRounding = 0.999;  // so that sums stay below what there is

int64_t rounded(double bytes) {
  return static_cast<int64_t>(kRounding * bytes);
}
double ratio(int64_t part, int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

struct Share {
  const Domain* domain = nullptr;
  int64_t target_bytes = 0;
};

// What maxima kept from being given goes to the others, the same to each.
void spread(std::vector<Share>& shares, int64_t left_bytes, int64_t acceptors) {
  while (left_bytes > 0 && acceptors > 0) {
    const int64_t bonus_bytes =
        rounded(static_cast<double>(left_bytes) / static_cast<double>(acceptors));
    left_bytes = 0;
    for (Share& share : shares) {
      const int64_t max_bytes = share.domain->max_bytes;
      if (share.target_bytes >= max_bytes) continue;
      share.target_bytes += bonus_bytes;
      if (share.target_bytes < max_bytes) continue;
      left_bytes += share.target_bytes - max_bytes;
      share.target_bytes = max_bytes;
      --acceptors;
    }
  }
}

std::vector<Request> donors_first(const std::vector<Share>& shares) {
  std::vector<Request> requests;
  for (const bool donors : {true, false})
    for (const Share& share : shares)
      if ((share.target_bytes < share.domain->actual_bytes) == donors)
        requests.push_back({share.domain->id, share.target_bytes});
  return requests;
}

std::vector<Request> with_enough(std::span<const Domain> domains, int64_t prefs_bytes,
                                 int64_t available_bytes) {
  std::vector<Share> shares;
  int64_t left_bytes = 0;
  int64_t acceptors = 0;
  for (const Domain& domain : domains) {
    if (!domain.takes_part) continue;
    const double share = ratio(domain.pref_bytes, prefs_bytes);
    int64_t target_bytes = rounded(static_cast<double>(domain.pref_bytes) +
                                   share * static_cast<double>(available_bytes));
    if (target_bytes > domain.max_bytes) {
      left_bytes += target_bytes - domain.max_bytes;
      target_bytes = domain.max_bytes;
    } else {
      ++acceptors;
    }
    shares.push_back({&domain, target_bytes});
  }
  spread(shares, left_bytes, acceptors);
  return donors_first(shares);
}

bool is_donor(const Domain& domain) {
  return domain.pref_bytes < domain.actual_bytes || domain.actual_bytes >= domain.max_bytes;
}

std::vector<Request> when_low(std::span<const Domain> domains, int64_t free_bytes, Sign sign) {
  std::vector<Request> requests;
  int64_t pot_bytes = free_bytes;
  int64_t acceptor_prefs_bytes = 0;
  for (const Domain& domain : domains) {
    if (!domain.takes_part) continue;
    if (!is_donor(domain)) {
      acceptor_prefs_bytes += domain.pref_bytes;
      continue;
    }
    const int64_t surplus_bytes = domain.actual_bytes - domain.pref_bytes;
    if (surplus_bytes < kDonationMinBytes) continue;
    pot_bytes += sign == Sign::kFixed ? surplus_bytes : -surplus_bytes;
    requests.push_back({domain.id, domain.pref_bytes});
  }
  if (pot_bytes < 0) return requests;
  for (const Domain& domain : domains) {
    if (!domain.takes_part || is_donor(domain)) continue;
    const double share = ratio(domain.pref_bytes, acceptor_prefs_bytes);
    const int64_t target_bytes =
        rounded(static_cast<double>(domain.actual_bytes) + share * static_cast<double>(pot_bytes));
    requests.push_back({domain.id, std::min(target_bytes, domain.max_bytes)});
  }
  return requests;
}

}  // namespace

int64_t preferred_bytes(int64_t used_bytes, int64_t max_bytes, double cache_factor) {
  const double wanted_bytes =
      std::min(static_cast<double>(used_bytes) * cache_factor, static_cast<double>(max_bytes));
  return std::max(static_cast<int64_t>(wanted_bytes), kPreferredMinBytes);
}

std::vector<Request> balance(int64_t free_bytes, std::span<const Domain> domains, Sign sign) {
  int64_t needed_bytes = 0;  // less than none when there is plenty
  int64_t prefs_bytes = 0;
  for (const Domain& domain : domains) {
    if (!domain.takes_part) continue;
    needed_bytes += domain.pref_bytes - domain.actual_bytes;
    prefs_bytes += domain.pref_bytes;
  }
  const int64_t available_bytes = free_bytes - needed_bytes;
  return available_bytes > 0 ? with_enough(domains, prefs_bytes, available_bytes)
                             : when_low(domains, free_bytes, sign);
}

}  // namespace tmem::policy::baselines::qmemman
