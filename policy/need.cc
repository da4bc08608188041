// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/need.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "libtmem/base/units.h"
#include "policy/entitlement.h"
#include "policy/spare.h"

namespace tmem::policy {
namespace {

// Kept free beside the kernel's own reserve, so that a small growth finds memory at once.
constexpr double kMarginRatio = 0.02;
// Of free memory above the margin, what is taken in a second. Nobody misses it.
constexpr double kFreeTakenRatio = 0.5;
// A rise between two reports that counts, and how much more of it is expected: the balloon and the
// next report take about the time between two, and a program that has begun to grow seldom stops
// at once. What was too much is free memory, and goes as that.
constexpr double kRiseMinRatio = 0.005;
constexpr double kForesight = 4.0;
// Pages that came back prove that as many more were pushed out too early.
constexpr double kReturnsGain = 2.0;
// Where PSI tells of a wait that no page explains: so much of the guest for each share of time.
constexpr double kPressureGain = 0.25;
// Probing: at most this share of the guest a second. Pages are missed only when they are next
// wanted, so what was taken in half a minute must be little; less is lost where a pool has them,
// and nothing where another guest misses more. Who holds less pressure for harmless probes more
// slowly.
constexpr double kProbeRatio = 0.002;
constexpr double kProbePoolRatio = 0.004;
constexpr double kProbeFullSome = 0.001;
constexpr double kYieldRatio = 0.05;
// Over which pressure is averaged for probing.
constexpr double kCalmTimeMs = 6'000;
// A balloon is where it should be, give or take so much: some kernels never hit it to the page.
constexpr uint64_t kArrivedSlackBytes = 4 * kMiB;
constexpr uint64_t kArrivedSlackPart = 64;
constexpr double kProvenHalfLifeMs = 60'000;
// What a page that comes back from the pool makes a task wait, at most: reported pressure beyond
// that is not the pool's to confirm.
constexpr double kReturnUs = 50;

double page_bytes(double pages) {
  return pages * static_cast<double>(kPageBytes);
}

// Pages a second that came back from disk or pool. The guest counts those from the pool too; where
// it says nothing, the store's counts remain.
double returns(const Rates& rates) {
  return std::max(rates.swap_in_pages, rates.persistent_gets) +
         std::max(rates.refault_pages, rates.ephemeral_hits);
}

double margin_bytes(const Sample& sample, double guest_bytes) {
  return std::max(static_cast<double>(sample.reserve_bytes), guest_bytes * kMarginRatio);
}

// Free memory beyond the margin.
double spare_free_bytes(const Estimate& estimate) {
  const Sample& sample = *estimate.sample;
  const auto actual = static_cast<double>(estimate.facts.actual_bytes);
  return std::max(
      0.0, std::min(static_cast<double>(sample.free_bytes), actual) - margin_bytes(sample, actual));
}

// For those who never reported the pool's counts stand in: what they have of their own is not
// asked of them (selfballoon_psi.cc), what they borrowed is. Who fell silent may hurt.
double pressure_now(const Estimate& estimate) {
  if (estimate.sample) return estimate.rates.some_ratio;
  return never_reported(estimate) && returns(estimate.rates) == 0 ? 0 : 1;
}

}  // namespace

void GuestNeed::prove(const Estimate& estimate, uint64_t elapsed_ms) {
  const auto elapsed = static_cast<double>(elapsed_ms);
  const double fade = std::exp2(-elapsed / kProvenHalfLifeMs);
  borrowed_bytes_ *= fade;
  proven_bytes_ *= fade;
  proven_bytes_ +=
      page_bytes(estimate.rates.persistent_gets + estimate.rates.ephemeral_hits) * elapsed / 1000;
  const PoolUse& pool = estimate.facts.pool;
  const double held = page_bytes(static_cast<double>(pool.persistent_pages + pool.ephemeral_pages));
  held_bytes_ = std::max(held_bytes_ * fade, held);
  proven_bytes_ = std::min(proven_bytes_, held_bytes_);
}

double GuestNeed::proven_some() const {
  const double pages_per_ms =
      proven_bytes_ / static_cast<double>(kPageBytes) * std::numbers::ln2 / kProvenHalfLifeMs;
  return std::min(some_average_, pages_per_ms * kReturnUs / 1000);
}

// Use that rises goes on rising for a while: room for that, and the margin. Use that stands still
// asks for nothing, however little is available: what is cold may go.
double GuestNeed::use_growth(const Estimate& estimate, uint64_t elapsed_ms) {
  const Sample& sample = *estimate.sample;
  const auto actual = static_cast<double>(estimate.facts.actual_bytes);
  const uint64_t used =
      minus_or_zero(sample.total_bytes, sample.available_bytes) + sample.swap_used_bytes;
  const auto rise = static_cast<double>(minus_or_zero(used, used_bytes_));
  used_bytes_ = used;
  if (rise < actual * kRiseMinRatio || elapsed_ms == 0) return 0;
  return rise * kForesight + margin_bytes(sample, actual) -
         static_cast<double>(sample.available_bytes);
}

// What the guest needs above what it has, by the strongest signal; 0: nothing presses.
double GuestNeed::growth_bytes(const Estimate& estimate, double some_ratio, uint64_t elapsed_ms) {
  double growth = 0;
  const auto consider = [&](double bytes, const char* why) {
    if (bytes <= growth) return;
    growth = bytes;
    why_ = why;
  };
  const double some = estimate.rates.some_ratio;
  const bool pressed = some > some_ratio || estimate.urgent;
  if (sampled_) {
    const GuestFacts& facts = estimate.facts;
    consider(use_growth(estimate, elapsed_ms), reason::kUse);
    least_bytes_ = minus_or_zero(
        facts.actual_bytes + spare_min_bytes(*estimate.sample, facts.settings.max_bytes),
        spare_bytes(*estimate.sample));
    consider(static_cast<double>(
                 minus_or_zero(least_bytes_, std::max(facts.actual_bytes, facts.target_bytes))),
             reason::kUse);
  }
  const double since_s = sampled_ ? sample_s() : static_cast<double>(elapsed_ms) / 1000;
  if (pressed || !estimate.sample)
    consider(page_bytes(returns(estimate.rates)) * since_s * kReturnsGain, reason::kReturns);
  if (pressed)
    consider(static_cast<double>(estimate.facts.actual_bytes) * some * kPressureGain,
             reason::kPressure);
  // What is free already is there for it.
  if (estimate.sample) growth = std::max(0.0, growth - spare_free_bytes(estimate));
  return std::min(growth, static_cast<double>(estimate.facts.settings.max_bytes));
}

// Takes what is free at once, the rest as slowly as pressure allows. While the guest has more than
// it needs (others left it), that it is calm proves nothing.
void GuestNeed::probe(const Estimate& estimate, double some_ratio, uint64_t elapsed_ms) {
  if (!estimate.sample) return;
  const uint64_t before = bytes_;
  const double elapsed_s = static_cast<double>(elapsed_ms) / 1000;
  const auto bytes = static_cast<double>(bytes_);
  const double calm = some_ratio > 0 ? std::max(0.0, 1 - some_average_ / some_ratio) : 0;
  if (calm > 0) why_ = reason::kCalm;
  const uint64_t arrived = bytes_ + std::max(kArrivedSlackBytes, bytes_ / kArrivedSlackPart);
  if (calm > 0 && estimate.facts.actual_bytes <= arrived) {
    const double ratio = estimate.facts.pool.has_client ? kProbePoolRatio : kProbeRatio;
    bytes_ -= static_cast<uint64_t>(bytes * ratio * calm * elapsed_s *
                                    std::min(1.0, some_ratio / kProbeFullSome));
  }
  if (sampled_) {
    const auto actual = static_cast<double>(estimate.facts.actual_bytes);
    const double spare = spare_free_bytes(estimate);
    const double taken = spare * std::min(1.0, sample_s() * kFreeTakenRatio);
    // Without any, a balloon that is on its way up goes on.
    if (spare > 0) {
      bytes_ = std::min(bytes_, static_cast<uint64_t>(actual - taken));
      if (calm == 0) why_ = reason::kFree;
    }
  }
  bytes_ = std::max(bytes_, std::min(before, least_bytes_));
}

void GuestNeed::yield(const GuestSettings& settings, double some_ratio, uint64_t elapsed_ms) {
  if (some_ratio <= 0) return;
  const double calm = 1 - std::max(some_average_, some_now_) / some_ratio;
  if (calm <= 0) return;
  const double elapsed_s = static_cast<double>(elapsed_ms) / 1000;
  const uint64_t least = std::min(bytes_, std::max(least_bytes_, settings.min_bytes));
  bytes_ -= static_cast<uint64_t>(static_cast<double>(bytes_) * kYieldRatio * calm *
                                  std::min(1.0, elapsed_s));
  bytes_ = std::max(bytes_, least);
  why_ = reason::kYield;
}

void GuestNeed::update(const Estimate& estimate, double some_ratio, uint64_t elapsed_ms) {
  const GuestFacts& facts = estimate.facts;
  if (!known_) {
    known_ = true;
    bytes_ = std::max(facts.actual_bytes, facts.target_bytes);
    used_bytes_ = UINT64_MAX;  // the first report is no rise
  }
  prove(estimate, elapsed_ms);
  sample_ms_ = (sampled_ ? 0 : sample_ms_) + elapsed_ms;
  sampled_ = estimate.sample && estimate.sample_age_ms == 0;
  const double fade = std::exp2(-static_cast<double>(elapsed_ms) / kCalmTimeMs);
  some_average_ = some_average_ * fade + estimate.rates.some_ratio * (1 - fade);
  why_ = reason::kHold;
  const double growth = growth_bytes(estimate, some_ratio, elapsed_ms);
  some_now_ = pressure_now(estimate);
  if (growth > 0) {
    bytes_ = std::max(facts.actual_bytes, facts.target_bytes) + static_cast<uint64_t>(growth);
  } else {
    bytes_ = std::min(bytes_, facts.target_bytes);  // more was not to be had
    probe(estimate, some_ratio, elapsed_ms);
  }
  bytes_ = std::clamp(bytes_, facts.settings.min_bytes,
                      std::max(facts.settings.min_bytes, facts.settings.max_bytes));
}

}  // namespace tmem::policy
