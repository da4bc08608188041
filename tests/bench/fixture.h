// SPDX-License-Identifier: GPL-2.0-or-later
// A store with its memory, its clock and one thread's worker, driven directly.
#pragma once
#include <memory>
#include <string>

#include "libtmem/base/clock.h"
#include "tests/bench/corpus.h"
#include "tests/bench/provider.h"
#include "tests/bench/report.h"
#include "tmemd/store/store.h"

namespace tmem::bench {

// What every bench is given.
struct Settings {
  unsigned rounds = 9;
  size_t pages_min = 2048;  // fewer different pages make no honest row
  size_t round_pages = 8192;
  size_t many_pages = 1'000'000;  // of D4 and destroy-stall
  bool smoke = false;             // tiny sizes: shows that everything runs
};

struct Context {
  const Settings& settings;
  Report& report;
};

inline constexpr PoolId kPool{0};

// The i-th page of a client: objects of 64 dense pages.
inline store::Key key_of(uint64_t i) {
  return {.pool = kPool, .object = {{i / 64, 1, 2}}, .index = static_cast<uint32_t>(i % 64)};
}

class TestStore {
 public:
  struct Setup {
    uint64_t budget_bytes = 0;
    bool zstd = false;
    bool touched = true;  // false: a plain memfd that gives memory back
    unsigned nursery_percent = 90;
  };
  static Result<std::unique_ptr<TestStore>> create(const Setup& setup);

  // A client with kPool of this kind.
  Result<store::ClientRef> add_client(const std::string& name, store::Kind kind,
                                      const store::ClientSettings& settings = {});
  Result<void> put(store::Client& client, const store::Key& key, store::PageBytes page);

  // maintain() until it has nothing to do. Fails when it never ends.
  Result<void> drain();
  // Lets pages grow old enough for LZ4 (or, with zstd, for zstd), then drains.
  Result<void> age(bool to_zstd = false);
  // Lets the store come to rest: it keeps blocks that came free for a while before it gives them
  // back.
  Result<void> rest();
  // Drains, zeroes what came free: ready for the next round.
  Result<void> tidy();

  store::Store& store() { return *store_; }
  store::Worker& worker() { return worker_; }
  ManualClock& clock() { return clock_; }
  memory::SlotProvider& provider() { return *provider_; }
  const store::Options& options() const { return options_; }

 private:
  TestStore() = default;
  store::Options options_;
  ManualClock clock_;
  std::unique_ptr<memory::SlotProvider> provider_;
  TouchedProvider* touched_ = nullptr;  // provider_, if it is one
  std::unique_ptr<store::Store> store_;
  store::Worker worker_;
  uint32_t clients_ = 0;
};

// A budget that holds `pages` raw pages with their records and the cleaner's reserve.
inline uint64_t roomy_budget(uint64_t pages) {
  return pages * (kPageBytes + 256) * 5 / 4 + 64 * kMiB;
}

Error unexpected_status(const char* what, store::Status status);

}  // namespace tmem::bench
