// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/balloon.h"

#include <algorithm>
#include <cmath>

namespace tmem::lab {

uint64_t balloon_floor(uint64_t max, uint64_t total_reserve, uint32_t scale) {
  const auto mib = [scale](uint64_t n) { return n * kMiB / kPageBytes / scale; };
  const uint64_t useful = max > total_reserve ? max - total_reserve : 0;
  if (useful < mib(16)) return max;
  if (useful < mib(64)) return total_reserve + mib(16) + (useful - mib(16)) / 2;
  if (useful < mib(512)) return total_reserve + mib(40) + (useful - mib(40)) / 8;
  return total_reserve + mib(99) + (useful - mib(99)) / 32;
}

uint64_t balloon_target(const BalloonInput& input, const BalloonModel& model, uint32_t scale) {
  const uint64_t goal = input.committed + input.total_reserve + input.reserved + input.frontswap;
  uint64_t target = input.current;
  if (input.current > goal) {
    target = input.current - (input.current - goal) / model.down_hysteresis;
  } else if (input.current < goal) {
    target = input.current + (goal - input.current) / model.up_hysteresis;
  }
  target = std::max(target, balloon_floor(input.max, input.total_reserve, scale));
  return std::min(target, input.max);
}

uint64_t total_reserve_pages(uint64_t max, uint32_t scale) {
  // A page has 4 KiB. min_free_kbytes = 4 sqrt(low memory in KiB); the high watermark is half as
  // much again.
  const auto full_kib = static_cast<double>(max) * scale * 4.0;
  const auto min_free_kib = static_cast<uint64_t>(4 * std::sqrt(full_kib));
  return min_free_kib * kKiB / kPageBytes * 3 / 2 / scale;
}

SelfShrink::SelfShrink(const BalloonModel& model)
    : hysteresis_(model.frontswap_hysteresis),
      inertia_(model.frontswap_inertia),
      counter_(model.frontswap_inertia) {}

uint64_t SelfShrink::target(uint64_t current) {
  const uint64_t last = last_;
  last_ = current;
  if (current == 0 || current > last) {
    counter_ = inertia_;
    return current;
  }
  if (counter_ > 0 && --counter_ > 0) return current;
  counter_ = inertia_;
  return current <= hysteresis_ ? 0 : current - current / hysteresis_;
}

}  // namespace tmem::lab
