// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/baselines/qmemman.h"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <map>
#include <optional>

#include "libtmem/base/units.h"
#include "policy/baselines/common.h"
#include "policy/baselines/qmemman_balance.h"

namespace tmem::policy::baselines {
namespace {

using qmemman::Domain;
using qmemman::Request;
using qmemman::Sign;

constexpr uint32_t kWaitMs = 100;                  // the guest's report, and a wait of a round
constexpr int kWaitsMax = 5;                       // for one guest
constexpr int64_t kLeftFreeBytes = 50 * kMiB;      // XEN_FREE_MEM_LEFT
constexpr double kLeftFreeShare = 0.9;             // while a round goes on
constexpr double kXenOverhead = 1.00781;           // of free memory over what it makes of guests
constexpr int64_t kUnderPrefMinBytes = 15 * kMiB;  // changes that matter
constexpr int64_t kTransferMinBytes = 150 * kMiB;
constexpr int64_t kUsedChangeKib = 30'000;  // reports that matter
constexpr int64_t kUsedGrowthKib = 15'000;  // when a guest is nearly full

// As the guest's meminfo-writer counts it.
int64_t used_kib(const Sample& sample) {
  const auto total = static_cast<int64_t>(sample.total_bytes + sample.swap_used_bytes);
  const auto unused = static_cast<int64_t>(sample.cache_bytes + sample.free_bytes);
  return std::max<int64_t>(0, total - unused) / static_cast<int64_t>(kKiB);
}

struct Guest {
  std::optional<int64_t> written_kib;  // what it last said that it uses
  int64_t actual_before_round_bytes = 0;
  bool no_progress = false;
};

bool writes(const Guest& guest, const Sample& sample) {
  if (!guest.written_kib) return true;
  const int64_t used = used_kib(sample);
  const int64_t change = used - *guest.written_kib;
  const auto total = static_cast<int64_t>(sample.total_bytes / kKiB);
  const bool nearly_full = used / 10 > (total + 12) / 13;
  return std::abs(change) > kUsedChangeKib || (nearly_full && change > kUsedGrowthKib);
}

class Qmemman final : public Strategy {
 public:
  Qmemman(std::string_view name, double cache_factor, Sign sign)
      : name_(name), cache_factor_(cache_factor), sign_(sign) {}
  std::string_view name() const override { return name_; }
  uint32_t period_ms() const override { return kWaitMs; }

  Plan plan(const HostView& host, std::span<const Estimate> estimates) override {
    left_free_bytes_ = std::max(kLeftFreeBytes, static_cast<int64_t>(host.head_room_bytes));
    free_bytes_ = static_cast<int64_t>(static_cast<double>(free_bytes(host)) / kXenOverhead);
    hear(estimates);
    refresh(estimates);
    Plan plan;
    if (round_.empty() && news_) begin_round();
    while (!round_.empty() && next_request(plan)) {
    }
    return plan;
  }

 private:
  // The guests' writes to xenstore, and their coming and going.
  void hear(std::span<const Estimate> estimates) {
    const size_t before = guests_.size();
    forget_gone(guests_, estimates);
    news_ |= guests_.size() != before;
    for (const Estimate& estimate : estimates) {
      const auto [guest, is_new] = guests_.try_emplace(estimate.facts.id);
      news_ |= is_new;
      if (!estimate.sample || !writes(guest->second, *estimate.sample)) continue;
      guest->second.written_kib = used_kib(*estimate.sample);
      news_ = true;
    }
  }

  void refresh(std::span<const Estimate> estimates) {
    domains_.clear();
    for (const Estimate& estimate : estimates) {
      const GuestFacts& facts = estimate.facts;
      Guest& guest = guests_[facts.id];
      Domain domain;
      domain.id = facts.id;
      domain.current_bytes = static_cast<int64_t>(facts.actual_bytes);
      domain.last_target_bytes = static_cast<int64_t>(facts.target_bytes);
      domain.actual_bytes = std::max(domain.current_bytes, domain.last_target_bytes);
      domain.max_bytes = static_cast<int64_t>(facts.settings.max_bytes);
      domain.pref_bytes =
          qmemman::preferred_bytes(guest.written_kib.value_or(0) * static_cast<int64_t>(kKiB),
                                   domain.max_bytes, cache_factor_);
      if (domain.actual_bytes <= domain.last_target_bytes + left_free_bytes_ / 2 ||
          domain.actual_bytes < domain.pref_bytes)
        guest.no_progress = false;
      domain.takes_part =
          estimate.sample && guest.written_kib && facts.can_balloon && !guest.no_progress;
      domains_.push_back(domain);
    }
  }

  // What was promised to guests that have not taken it yet is not free.
  int64_t xen_free_bytes() const {
    int64_t bytes = free_bytes_;
    for (const Domain& domain : domains_)
      bytes -= std::max<int64_t>(0, domain.last_target_bytes - domain.current_bytes);
    return bytes;
  }

  Domain* find(GuestId id) {
    const auto domain = std::find_if(domains_.begin(), domains_.end(),
                                     [id](const Domain& d) { return d.id == id; });
    return domain == domains_.end() ? nullptr : &*domain;
  }

  void begin_round() {
    news_ = false;
    const int64_t free_bytes = xen_free_bytes();
    const auto requests = qmemman::balance(free_bytes - left_free_bytes_, domains_, sign_);
    if (!is_significant(requests, free_bytes)) return;
    round_.assign(requests.begin(), requests.end());
    done_.clear();
    waits_ = 0;
    for (const Domain& domain : domains_)
      guests_[domain.id].actual_before_round_bytes = domain.actual_bytes;
  }

  bool is_significant(const std::vector<Request>& requests, int64_t free_bytes) {
    if (left_free_bytes_ - free_bytes > kUnderPrefMinBytes) return true;
    int64_t transfer_bytes = std::abs(free_bytes - left_free_bytes_);
    for (const Request& request : requests) {
      const Domain& domain = *find(request.id);
      const int64_t change_bytes = request.bytes - domain.last_target_bytes;
      transfer_bytes += std::abs(change_bytes);
      if (domain.last_target_bytes > 0 && domain.last_target_bytes < domain.pref_bytes &&
          change_bytes > kUnderPrefMinBytes)
        return true;
    }
    return transfer_bytes > kTransferMinBytes;
  }

  // False: it waits for what others are to give up.
  bool next_request(Plan& plan) {
    const Request request = round_.front();
    Domain* domain = find(request.id);
    if (domain != nullptr && waits_ == kWaitsMax) {
      mark_refusals();
      set(*domain, xen_free_bytes() + domain->actual_bytes - left_free_bytes_, plan);
      round_.clear();
      return true;
    }
    if (domain != nullptr) {
      const int64_t then_free_bytes = xen_free_bytes() - (request.bytes - domain->actual_bytes);
      if (static_cast<double>(then_free_bytes) <
          kLeftFreeShare * static_cast<double>(left_free_bytes_)) {
        ++waits_;
        return false;
      }
      set(*domain, request.bytes, plan);
      done_.push_back(request.id);
    }
    waits_ = 0;
    round_.pop_front();
    return true;
  }

  static void set(Domain& domain, int64_t bytes, Plan& plan) {
    bytes = std::max<int64_t>(0, bytes);
    domain.last_target_bytes = bytes;
    plan.wishes.push_back({domain.id, static_cast<uint64_t>(bytes),
                           bytes < domain.actual_bytes ? "donor" : "acceptor"});
  }

  void mark_refusals() {
    for (const GuestId id : done_) {
      const Domain* domain = find(id);
      if (domain == nullptr ||
          domain->actual_bytes <= domain->last_target_bytes + left_free_bytes_ / 4)
        continue;
      Guest& guest = guests_[id];
      guest.no_progress = guest.actual_before_round_bytes == domain->actual_bytes;
    }
  }

  const std::string_view name_;
  const double cache_factor_;
  const Sign sign_;
  std::map<GuestId, Guest> guests_;
  bool news_ = false;
  std::deque<Request> round_;  // still to be sent
  std::vector<GuestId> done_;  // sent in this round
  int waits_ = 0;              // for the first of round_
  // As of this call.
  std::vector<Domain> domains_;
  int64_t free_bytes_ = 0;
  int64_t left_free_bytes_ = kLeftFreeBytes;
};

}  // namespace

std::unique_ptr<Strategy> make_qmemman(double cache_factor) {
  return std::make_unique<Qmemman>("qmemman", cache_factor, Sign::kAsShipped);
}
std::unique_ptr<Strategy> make_qmemman_fixed(double cache_factor) {
  return std::make_unique<Qmemman>("qmemman-fixed", cache_factor, Sign::kFixed);
}

}  // namespace tmem::policy::baselines
