// SPDX-License-Identifier: GPL-2.0-or-later
// A scenario of the policy simulation: what each guest does, when, on which host. It is generated
// from a family and a seed (families.cc) and knows nothing of policies.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tmem::lab::policies {

enum class Kind : uint8_t { kAnon, kFile };

// Chunks that are used alike. Each chunk is touched again and again, with a period of its own
// between the two bounds (logarithmically uniform), give or take a quarter.
struct Region {
  Kind kind = Kind::kAnon;
  uint32_t chunks = 0;
  uint32_t period_min_ms = 0;
  uint32_t period_max_ms = 0;
  bool in_use = true;      // from the start, and already in memory as far as it fits
  bool streaming = false;  // each chunk is read once, one after the other, evenly over the run
};

enum class Action : uint8_t {
  kUse,    // touched from now on; each chunk first within one of its periods
  kBurst,  // the same, but all chunks for the first time within a second
  kRest,   // not touched any more, but kept
  kFree,   // given back by the guest's program
};

struct Event {
  uint32_t at_ms = 0;
  uint32_t region = 0;
  Action action = Action::kUse;
};

struct GuestScript {
  uint64_t max_pages = 0;
  uint64_t min_pages = 0;     // the administrator's
  uint64_t kernel_pages = 0;  // never reclaimed
  uint32_t weight = 256;
  uint32_t tasks = 4;
  double commit_factor = 1.3;  // Committed_AS over anonymous memory
  bool has_agent = true;
  double lie_factor = 1;  // sizes of what it reports, over the truth
  // Its balloon driver does nothing in this time.
  uint32_t stuck_from_ms = 0;
  uint32_t stuck_until_ms = 0;
  std::vector<Region> regions;
  std::vector<Event> events;  // in order of time
};

struct Scenario {
  std::string name;  // of the family, and a number
  std::string_view family;
  uint64_t seed = 0;
  uint32_t duration_ms = 0;
  uint64_t host_pages = 0;  // for guests, pool and head-room
  double pool_ratio = 3;    // a page's size over what the pool keeps of it
  std::vector<GuestScript> guests;
};

// In the order in which scenarios are drawn.
const std::vector<std::string_view>& families();
// The index-th of a seed; index % families().size() is its family.
Scenario make_scenario(uint64_t seed, uint32_t index);

}  // namespace tmem::lab::policies
