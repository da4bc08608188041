// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/guest_builder.h"

#include <algorithm>
#include <cmath>

#include "tools/lab/policies/constants.h"

namespace tmem::lab::policies {

uint32_t Draw::ms(uint32_t low, uint32_t high) {
  const uint32_t tenths = (high - low) / kTickMs;
  return low + (tenths == 0 ? 0 : below(tenths)) * kTickMs;
}

GuestBuilder::GuestBuilder(Draw& draw) {
  guest_.max_pages = (512 + 256 * draw.below(3)) * (kMiB / kPageBytes);
  guest_.min_pages = guest_.max_pages / 8;
  guest_.weight = static_cast<uint32_t>(guest_.max_pages * kPageBytes / kMiB / 2);
  guest_.kernel_pages = guest_.max_pages / 16;
  guest_.tasks = 2 + draw.below(5);
  guest_.commit_factor = draw.between(1.1, 1.6);
}

uint32_t GuestBuilder::region(Kind kind, double share, uint32_t period_min_ms,
                              uint32_t period_max_ms, bool in_use) {
  const double chunks = static_cast<double>(guest_.max_pages) * share / kChunkPages;
  guest_.regions.push_back({kind, std::max(1u, static_cast<uint32_t>(std::lround(chunks))),
                            period_min_ms, period_max_ms, in_use, false});
  return static_cast<uint32_t>(guest_.regions.size() - 1);
}

void GuestBuilder::base(double hot, double warm, double cold) {
  for (const Kind kind : {Kind::kAnon, Kind::kFile}) {
    const double part = kind == Kind::kAnon ? 2.0 / 3 : 1.0 / 3;
    region(kind, hot * part, 500, 5000, true);
    region(kind, warm * part, 5000, 60'000, true);
    region(kind, cold * part, 300'000, 3'000'000, true);
  }
}

void GuestBuilder::stream(double mib_s, uint32_t duration_ms) {
  const double chunks = mib_s * duration_ms / 1000 * (kMiB / kPageBytes) / kChunkPages;
  guest_.regions.push_back(
      {Kind::kFile, static_cast<uint32_t>(chunks), 0, duration_ms, true, true});
}

void GuestBuilder::event(uint32_t at_ms, uint32_t region, Action action) {
  guest_.events.push_back({at_ms, region, action});
}

GuestScript GuestBuilder::done() {
  std::stable_sort(guest_.events.begin(), guest_.events.end(),
                   [](const Event& a, const Event& b) { return a.at_ms < b.at_ms; });
  return guest_;
}

}  // namespace tmem::lab::policies
