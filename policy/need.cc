// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/need.h"

#include <algorithm>
#include <cmath>

#include "libtmem/base/units.h"

namespace tmem::policy {
namespace {

// Kept free beside the kernel's own reserve, so that a small growth finds memory at once.
constexpr double kMarginRatio = 0.02;
// A rise between two reports that counts, and how much more of it is expected: a balloon needs
// about the time between two reports.
constexpr double kRiseMinRatio = 0.005;
constexpr double kForesight = 1.0;
// Pages that came back prove that as many more were pushed out too early.
constexpr double kReturnsGain = 2.0;
// Probing: a share of the guest a second, doubled after each calm period.
constexpr double kStepMinRatio = 0.002;
constexpr double kStepMaxRatio = 0.02;
constexpr uint64_t kCalmMs = 5'000;
// After pressure nothing is taken for so long.
constexpr uint64_t kGraceMs = 3'000;
// Senpai's law: grow by (pressure / harmless / 20)^2, at most by all.
constexpr double kBackoffDivisor = 20;
constexpr double kProvenHalfLifeMs = 60'000;

double page_bytes(double pages) {
  return pages * static_cast<double>(kPageBytes);
}

// Pages a second that came back from disk or pool. The guest counts those from the pool too; where
// it says nothing, the store's counts remain.
double returns(const Rates& rates) {
  return std::max(rates.swap_in_pages, rates.persistent_gets) +
         std::max(rates.refault_pages, rates.ephemeral_hits);
}

uint64_t minus(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}

}  // namespace

void GuestNeed::prove(const Estimate& estimate, uint64_t elapsed_ms) {
  const auto elapsed = static_cast<double>(elapsed_ms);
  proven_bytes_ *= std::exp2(-elapsed / kProvenHalfLifeMs);
  proven_bytes_ +=
      page_bytes(estimate.rates.persistent_gets + estimate.rates.ephemeral_hits) * elapsed / 1000;
  proven_bytes_ = std::min(proven_bytes_, static_cast<double>(estimate.facts.settings.max_bytes));
}

// Use that rises goes on rising for a while: room for that, and the margin. Use that stands still
// asks for nothing, however little is available: what is cold may go.
double GuestNeed::use_growth(const Estimate& estimate, uint64_t elapsed_ms) {
  const Sample& sample = *estimate.sample;
  const auto actual = static_cast<double>(estimate.facts.actual_bytes);
  const uint64_t used = minus(sample.total_bytes, sample.available_bytes) + sample.swap_used_bytes;
  const auto rise = static_cast<double>(minus(used, used_bytes_));
  used_bytes_ = used;
  if (rise < actual * kRiseMinRatio || elapsed_ms == 0) return 0;
  const double margin = std::max(static_cast<double>(sample.reserve_bytes), actual * kMarginRatio);
  return rise * kForesight + margin - static_cast<double>(sample.available_bytes);
}

// What the guest needs above what it has, by the strongest signal; 0: nothing presses.
uint64_t GuestNeed::growth_bytes(const Estimate& estimate, double some_ratio, uint64_t elapsed_ms) {
  const auto actual = static_cast<double>(estimate.facts.actual_bytes);
  const double elapsed_s = static_cast<double>(elapsed_ms) / 1000;
  double growth = 0;
  const auto consider = [&](double bytes, const char* why) {
    if (bytes <= growth) return;
    growth = bytes;
    why_ = why;
  };
  const double some = estimate.rates.some_ratio;
  const bool pressed = some > some_ratio || estimate.urgent;
  if (estimate.sample && estimate.sample_age_ms == 0)
    consider(use_growth(estimate, elapsed_ms), reason::kUse);
  if (pressed || !estimate.sample)
    consider(page_bytes(returns(estimate.rates)) * elapsed_s * kReturnsGain, reason::kReturns);
  if (pressed) {
    const double part = std::min(1.0, some / some_ratio / kBackoffDivisor);
    consider(actual * part * part, reason::kPressure);
  }
  return static_cast<uint64_t>(std::min(growth, static_cast<double>(kGiB) * 1024));
}

void GuestNeed::probe(const Estimate& estimate, uint64_t elapsed_ms) {
  calm_ms_ += elapsed_ms;
  if (calm_ms_ < kGraceMs || !estimate.sample) return;
  why_ = reason::kCalm;
  if (calm_ms_ >= kGraceMs + kCalmMs) {
    calm_ms_ = kGraceMs;
    step_ratio_ = std::min(kStepMaxRatio, step_ratio_ * 2);
  }
  const double step =
      static_cast<double>(bytes_) * step_ratio_ * static_cast<double>(elapsed_ms) / 1000;
  bytes_ -= std::min(bytes_, static_cast<uint64_t>(step));
}

void GuestNeed::update(const Estimate& estimate, double some_ratio, uint64_t elapsed_ms) {
  const GuestSettings& settings = estimate.facts.settings;
  if (!known_) {
    known_ = true;
    bytes_ = estimate.facts.actual_bytes;
    step_ratio_ = kStepMinRatio;
    used_bytes_ = UINT64_MAX;  // the first report is no rise
  }
  prove(estimate, elapsed_ms);
  why_ = reason::kHold;
  const uint64_t growth = growth_bytes(estimate, some_ratio, elapsed_ms);
  if (growth > 0) {
    bytes_ = std::max(bytes_, estimate.facts.actual_bytes + growth);
    calm_ms_ = 0;
    step_ratio_ = kStepMinRatio;
  } else if (estimate.rates.some_ratio > some_ratio / 2) {
    calm_ms_ = 0;
  } else {
    probe(estimate, elapsed_ms);
  }
  bytes_ = std::clamp(bytes_, settings.min_bytes, std::max(settings.min_bytes, settings.max_bytes));
}

}  // namespace tmem::policy
