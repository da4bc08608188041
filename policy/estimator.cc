// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/estimator.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "libtmem/base/units.h"

namespace tmem::policy {
namespace {

// MemTotal leaves out what the kernel keeps for itself, and the balloon may be moving.
constexpr uint64_t kTotalSlackBytes = 64 * kMiB;
// No machine reads pages from a disk or the pool faster.
constexpr double kPagesPerSecondMax = 4e6;
constexpr uint64_t kSwingPart = 8;
// What a page that was read back made a task wait, where the guest cannot tell: several come with
// one request to a disk (docs/lab-policies.md), each alone from the pool.
constexpr double kReadBackUs = 30;

double rate(uint64_t before, uint64_t after, uint64_t elapsed_ms) {
  if (after <= before || elapsed_ms == 0) return 0;  // not less: it began anew
  return static_cast<double>(after - before) * 1000 / static_cast<double>(elapsed_ms);
}

double ratio_of_time(uint64_t before_us, uint64_t after_us, uint64_t elapsed_ms) {
  return std::min(1.0, rate(before_us, after_us, elapsed_ms) / 1e6);
}

// Empty: nothing contradicts itself or what Xen says.
std::string contradiction(const Sample& sample, const GuestFacts& facts) {
  const auto above = [&](uint64_t value, uint64_t limit) { return value > limit; };
  const uint64_t most =
      std::max({facts.actual_bytes, facts.target_bytes, facts.settings.max_bytes});
  if (above(sample.total_bytes, most + kTotalSlackBytes)) return "total is more than the guest has";
  if (above(sample.free_bytes, sample.total_bytes)) return "free is more than total";
  if (above(sample.available_bytes, sample.total_bytes)) return "avail is more than total";
  if (above(sample.cache_bytes, sample.total_bytes)) return "cache is more than total";
  if (above(sample.anon_bytes, sample.total_bytes)) return "anon is more than total";
  if (above(sample.reserve_bytes, sample.total_bytes)) return "reserve is more than total";
  return "";
}

// A report may have stood there for a while before it was looked at, and the next be seen at once:
// the guest's own clock may say that more time passed. It can only make less of itself with that.
Rates rates_between(const Sample& before, const Sample& after, uint64_t seen_ms) {
  Rates rates;
  if (after.uptime_ms < before.uptime_ms) return rates;  // the guest began anew
  const uint64_t elapsed_ms = std::max(seen_ms, after.uptime_ms - before.uptime_ms);
  rates.refault_pages =
      std::min(kPagesPerSecondMax, rate(before.refault_pages, after.refault_pages, elapsed_ms));
  // An agent that began anew counts the pages that the one before it brought back.
  if (after.sequence > before.sequence)
    rates.swap_in_pages =
        std::min(kPagesPerSecondMax, rate(before.swap_in_pages, after.swap_in_pages, elapsed_ms));
  if (before.pressure && after.pressure) {
    rates.some_ratio = ratio_of_time(before.pressure->some_us, after.pressure->some_us, elapsed_ms);
    rates.full_ratio = ratio_of_time(before.pressure->full_us, after.pressure->full_us, elapsed_ms);
  } else {
    const double read_back_pages = rates.refault_pages + rates.swap_in_pages;
    rates.some_ratio = std::min(1.0, read_back_pages * kReadBackUs / 1e6);
  }
  return rates;
}

void add_pool_rates(const PoolUse& before, const PoolUse& after, uint64_t elapsed_ms,
                    Rates& rates) {
  rates.persistent_puts = rate(before.persistent_puts, after.persistent_puts, elapsed_ms);
  rates.persistent_gets = rate(before.persistent_gets, after.persistent_gets, elapsed_ms);
  rates.ephemeral_puts = rate(before.ephemeral_puts, after.ephemeral_puts, elapsed_ms);
  rates.ephemeral_hits = rate(before.ephemeral_hits, after.ephemeral_hits, elapsed_ms);
}

}  // namespace

const char* name_of(ReportState state) {
  switch (state) {
    case ReportState::kNone:
      return "none";
    case ReportState::kFresh:
      return "fresh";
    case ReportState::kStale:
      return "stale";
    case ReportState::kMalformed:
      return "malformed";
    case ReportState::kAbsurd:
      return "absurd";
  }
  return "";
}

void Estimator::count_swing(const Sample& now, Guest& guest) {
  const auto used = [](const Sample& sample) {
    return static_cast<int64_t>(minus_or_zero(sample.total_bytes, sample.available_bytes));
  };
  const int64_t step = used(now) - used(*guest.sample);
  if (std::abs(step) < static_cast<int64_t>(now.total_bytes / kSwingPart)) return;
  const int direction = step > 0 ? 1 : -1;
  if (direction == -guest.direction) ++guest.counters.swings;
  guest.direction = direction;
}

// A text that did not change is no new report, whatever it says. Nor is one that stands there when
// the guest is first looked at: its agent may be gone for hours.
void Estimator::read_report(uint64_t now_ms, const GuestInput& input, Guest& guest,
                            Estimate& estimate) {
  if (!input.report) return;
  std::string text = input.report->substr(0, kReportBytesMax + 1);
  if (text == guest.text) return;
  guest.text = std::move(text);
  if (!guest.seen) return;
  guest.complaint.clear();
  const auto sample = parse_report(guest.text);
  if (!sample) {
    guest.state = ReportState::kMalformed;
    guest.complaint = sample.error().message;
    ++guest.counters.malformed;
    return;
  }
  guest.complaint = contradiction(*sample, input.facts);
  if (!guest.complaint.empty()) {
    guest.state = ReportState::kAbsurd;
    ++guest.counters.absurd;
    return;
  }
  ++guest.counters.accepted;
  if (guest.sample) count_swing(*sample, guest);
  if (guest.sample && now_ms > guest.sample_ms) {
    estimate.rates = rates_between(*guest.sample, *sample, now_ms - guest.sample_ms);
    estimate.urgent = sample->urgent > guest.sample->urgent;
  }
  guest.sample = *sample;
  guest.sample_ms = now_ms;
  guest.state = ReportState::kFresh;
}

Estimate Estimator::update(uint64_t now_ms, const GuestInput& input) {
  Guest& guest = guests_[input.facts.id];
  Estimate estimate;
  estimate.facts = input.facts;
  read_report(now_ms, input, guest, estimate);
  if (guest.seen && now_ms > guest.updated_ms)
    add_pool_rates(guest.pool, input.facts.pool, now_ms - guest.updated_ms, estimate.rates);
  guest.pool = input.facts.pool;
  guest.seen = true;
  guest.updated_ms = now_ms;
  if (guest.sample) {
    estimate.sample_age_ms = now_ms - guest.sample_ms;
    if (estimate.sample_age_ms > kReportStaleMs) {
      guest.sample.reset();
      ++guest.counters.stale;
      if (guest.state == ReportState::kFresh) guest.state = ReportState::kStale;
    }
  }
  estimate.sample = guest.sample;
  estimate.report = guest.state;
  return estimate;
}

void Estimator::forget_others(uint64_t now_ms) {
  std::erase_if(guests_, [&](const auto& entry) { return entry.second.updated_ms != now_ms; });
}

const ReportCounters& Estimator::counters(GuestId id) const {
  static const ReportCounters none;
  const auto guest = guests_.find(id);
  return guest == guests_.end() ? none : guest->second.counters;
}

const std::string& Estimator::complaint(GuestId id) const {
  static const std::string none;
  const auto guest = guests_.find(id);
  return guest == guests_.end() ? none : guest->second.complaint;
}

}  // namespace tmem::policy
