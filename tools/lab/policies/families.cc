// SPDX-License-Identifier: GPL-2.0-or-later
// The families of scenarios. Each draws its guests' sizes, memory and times from the seed; what the
// families are is in docs/lab-policies.md.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tools/lab/policies/guest_builder.h"
#include "tools/lab/policies/scenario.h"
#include "tools/lab/rng.h"

namespace tmem::lab::policies {
namespace {

constexpr uint32_t kMinute = 60'000;

void set_host(Scenario& scenario, double ratio) {
  uint64_t sum_pages = 0;
  for (const GuestScript& guest : scenario.guests) sum_pages += guest.max_pages;
  scenario.host_pages = static_cast<uint64_t>(static_cast<double>(sum_pages) * ratio);
}

uint32_t guest_count(Draw& draw) {
  return 3 + draw.below(6);
}

// Its memory of today, tomorrow's in other regions: each phase uses one of three.
GuestScript phased_guest(Draw& draw, uint32_t duration_ms) {
  GuestBuilder builder(draw);
  builder.base(0.15, 0.12, 0.15);
  std::array<uint32_t, 3> regions{};
  for (uint32_t i = 0; i < regions.size(); ++i) {
    const Kind kind = draw.chance(0.7) ? Kind::kAnon : Kind::kFile;
    regions[i] = builder.region(kind, draw.between(0.15, 0.35), 500, 20'000, i == 0);
  }
  uint32_t now = 0;
  uint32_t at_ms = 0;
  while ((at_ms += draw.ms(90'000, 240'000)) < duration_ms) {
    builder.event(at_ms, regions[now], draw.chance(0.5) ? Action::kFree : Action::kRest);
    now = (now + 1 + draw.below(2)) % 3;
    builder.event(at_ms, regions[now], Action::kUse);
  }
  return builder.done();
}

// Half of its memory more within a second, for a while.
GuestScript bursting_guest(Draw& draw, uint32_t duration_ms) {
  GuestBuilder builder(draw);
  builder.base(0.15, 0.1, 0.15);
  const uint32_t burst = builder.region(Kind::kAnon, 0.5, 500, 4000, false);
  uint32_t at_ms = draw.ms(70'000, 200'000);
  while (at_ms < duration_ms) {
    const uint32_t end_ms = at_ms + draw.ms(20'000, 80'000);
    builder.event(at_ms, burst, Action::kBurst);
    builder.event(end_ms, burst, Action::kFree);
    at_ms = end_ms + draw.ms(60'000, 200'000);
  }
  return builder.done();
}

// Busy, then idle for a third of the time, then busy again.
GuestScript night_guest(Draw& draw, uint32_t duration_ms) {
  GuestBuilder builder(draw);
  builder.base(0.05, 0.05, 0.1);
  const uint32_t anon = builder.region(Kind::kAnon, draw.between(0.25, 0.4), 500, 15'000, true);
  const uint32_t file = builder.region(Kind::kFile, draw.between(0.1, 0.3), 1000, 60'000, true);
  const uint32_t dusk_ms = duration_ms / 3 + draw.ms(0, kMinute);
  const uint32_t dawn_ms = duration_ms * 2 / 3 + draw.ms(0, kMinute);
  for (const uint32_t region : {anon, file}) {
    builder.event(dusk_ms, region, Action::kRest);
    builder.event(dawn_ms, region, Action::kUse);
  }
  return builder.done();
}

GuestScript page_cache_guest(Draw& draw, uint32_t duration_ms) {
  GuestBuilder builder(draw);
  builder.base(0.1, 0.05, 0.05);
  builder.region(Kind::kFile, draw.between(0.1, 0.25), 1000, 15'000, true);
  builder.region(Kind::kFile, draw.between(0.15, 0.4), 15'000, 180'000, true);
  builder.region(Kind::kFile, draw.between(0.2, 0.4), 300'000, 1'200'000, true);
  const uint32_t later = builder.region(Kind::kFile, draw.between(0.05, 0.2), 1000, 60'000, false);
  builder.event(draw.ms(kMinute, duration_ms / 2), later, Action::kUse);
  builder.event(draw.ms(duration_ms / 2, duration_ms), later, Action::kRest);
  return builder.done();
}

GuestScript anonymous_guest(Draw& draw, uint32_t duration_ms) {
  GuestBuilder builder(draw);
  builder.commit_factor(draw.between(1.3, 2.2));
  builder.base(0.2, 0.15, draw.between(0.1, 0.3));
  const uint32_t heap = builder.region(Kind::kAnon, draw.between(0.1, 0.3), 1000, 30'000, false);
  const uint32_t at_ms = draw.ms(kMinute, duration_ms / 2);
  builder.event(at_ms, heap, Action::kUse);
  builder.event(at_ms + draw.ms(60'000, 240'000), heap, Action::kFree);
  return builder.done();
}

// Guests of two groups take turns with half of their memory.
GuestScript opposite_guest(Draw& draw, uint32_t duration_ms, uint32_t turn_ms, bool first) {
  GuestBuilder builder(draw);
  builder.base(0.1, 0.08, 0.1);
  const uint32_t region = builder.region(Kind::kAnon, draw.between(0.4, 0.55), 500, 8000, first);
  bool busy = first;
  for (uint32_t at_ms = turn_ms; at_ms < duration_ms; at_ms += turn_ms) {
    busy = !busy;
    builder.event(at_ms, region, busy ? Action::kUse : Action::kFree);
  }
  return builder.done();
}

// Nearly all of its memory is filled; a share of it, the same of both kinds, is cold: not touched
// for five minutes. The share is 35 % on average, 19 to 62 %.
GuestScript cold_guest(Draw& draw) {
  GuestBuilder builder(draw);
  const double cold =
      draw.chance(0.65) ? draw.between(0.19, 0.36) : draw.between(0.33, 0.62);  // mean 0.35
  const double anon = draw.between(0.4, 0.7);
  const double filled = draw.between(0.85, 0.92);
  for (const Kind kind : {Kind::kAnon, Kind::kFile}) {
    const double part = filled * (kind == Kind::kAnon ? anon : 1 - anon);
    builder.region(kind, part * (1 - cold) * 0.6, 500, 10'000, true);
    builder.region(kind, part * (1 - cold) * 0.4, 10'000, 120'000, true);
    builder.region(kind, part * cold, 300'000, 3'000'000, true);
  }
  return builder.done();
}

GuestScript streaming_guest(Draw& draw, uint32_t duration_ms) {
  GuestBuilder builder(draw);
  builder.base(0.1, 0.05, 0.05);
  builder.stream(draw.between(8, 24), duration_ms);
  return builder.done();
}

GuestScript any_guest(Draw& draw, uint32_t duration_ms) {
  switch (draw.below(5)) {
    case 0:
      return phased_guest(draw, duration_ms);
    case 1:
      return bursting_guest(draw, duration_ms);
    case 2:
      return page_cache_guest(draw, duration_ms);
    case 3:
      return anonymous_guest(draw, duration_ms);
    default:
      return night_guest(draw, duration_ms);
  }
}

using Maker = GuestScript (*)(Draw&, uint32_t);
void fill(Scenario& scenario, Draw& draw, Maker maker, uint32_t duration_ms, double ratio) {
  scenario.duration_ms = duration_ms;
  const uint32_t count = guest_count(draw);
  for (uint32_t i = 0; i < count; ++i) scenario.guests.push_back(maker(draw, duration_ms));
  set_host(scenario, ratio);
}

void make_phases(Scenario& s, Draw& draw) {
  fill(s, draw, phased_guest, 10 * kMinute, draw.between(0.6, 0.85));
}
void make_bursts(Scenario& s, Draw& draw) {
  fill(s, draw, bursting_guest, 10 * kMinute, draw.between(0.65, 0.85));
}
void make_nights(Scenario& s, Draw& draw) {
  fill(s, draw, night_guest, 20 * kMinute, draw.between(0.6, 0.8));
}
void make_page_cache(Scenario& s, Draw& draw) {
  fill(s, draw, page_cache_guest, 10 * kMinute, draw.between(0.6, 0.85));
}
void make_anonymous(Scenario& s, Draw& draw) {
  fill(s, draw, anonymous_guest, 10 * kMinute, draw.between(0.65, 0.85));
}
void make_liar(Scenario& s, Draw& draw) {
  fill(s, draw, phased_guest, 10 * kMinute, draw.between(0.65, 0.85));
  s.guests[draw.below(static_cast<uint32_t>(s.guests.size()))].lie_factor = draw.between(1.5, 4);
}
void make_agentless(Scenario& s, Draw& draw) {
  fill(s, draw, any_guest, 10 * kMinute, draw.between(0.65, 0.85));
  s.guests[draw.below(static_cast<uint32_t>(s.guests.size()))].has_agent = false;
}
void make_stuck(Scenario& s, Draw& draw) {
  fill(s, draw, phased_guest, 10 * kMinute, draw.between(0.65, 0.85));
  GuestScript& guest = s.guests[draw.below(static_cast<uint32_t>(s.guests.size()))];
  guest.stuck_from_ms = draw.ms(kMinute, 4 * kMinute);
  guest.stuck_until_ms = guest.stuck_from_ms + draw.ms(kMinute, 5 * kMinute);
}
void make_opposite(Scenario& s, Draw& draw) {
  s.duration_ms = 10 * kMinute;
  const uint32_t turn_ms = draw.ms(60'000, 150'000);
  const uint32_t pairs = 2 + draw.below(3);
  for (uint32_t i = 0; i < 2 * pairs; ++i)
    s.guests.push_back(opposite_guest(draw, s.duration_ms, turn_ms, i % 2 == 0));
  set_host(s, draw.between(0.6, 0.8));
}
void make_cold(Scenario& s, Draw& draw) {
  s.duration_ms = 20 * kMinute;
  const uint32_t count = guest_count(draw);
  for (uint32_t i = 0; i < count; ++i) s.guests.push_back(cold_guest(draw));
  set_host(s, 1.06);  // all of the guests' maxima, and the head-room
}
void make_stream(Scenario& s, Draw& draw) {
  s.duration_ms = 10 * kMinute;
  s.guests.push_back(streaming_guest(draw, s.duration_ms));
  const uint32_t readers = 2 + draw.below(3);
  for (uint32_t i = 0; i < readers; ++i) s.guests.push_back(page_cache_guest(draw, s.duration_ms));
  set_host(s, draw.between(0.6, 0.8));
}
void make_mixed(Scenario& s, Draw& draw) {
  fill(s, draw, any_guest, 15 * kMinute, draw.between(0.6, 0.9));
}

struct Family {
  std::string_view name;
  void (*make)(Scenario&, Draw&);
};
constexpr std::array kFamilies = {
    Family{"phases", make_phases},       Family{"bursts", make_bursts},
    Family{"idle-nights", make_nights},  Family{"page-cache", make_page_cache},
    Family{"anonymous", make_anonymous}, Family{"liar", make_liar},
    Family{"no-agent", make_agentless},  Family{"stuck-balloon", make_stuck},
    Family{"opposite", make_opposite},   Family{"cold", make_cold},
    Family{"stream", make_stream},       Family{"mixed", make_mixed},
};

}  // namespace

const std::vector<std::string_view>& families() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for (const Family& family : kFamilies) all.push_back(family.name);
    return all;
  }();
  return names;
}

Scenario make_scenario(uint64_t seed, uint32_t index) {
  const Family& family = kFamilies[index % kFamilies.size()];
  Scenario scenario;
  scenario.name = fmt::format("{}-{}", family.name, index / kFamilies.size());
  scenario.family = family.name;
  scenario.seed = mix(seed, index);
  Draw draw(scenario.seed);
  scenario.pool_ratio = draw.between(2, 4);
  family.make(scenario, draw);
  return scenario;
}

}  // namespace tmem::lab::policies
