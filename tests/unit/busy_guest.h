// SPDX-License-Identifier: GPL-2.0-or-later
// A guest that works in a thread of its own and knows what each get must return.
#pragma once
#include <atomic>
#include <map>
#include <string>
#include <thread>

#include "tests/unit/store_world.h"

namespace tmem::store {

inline constexpr uint32_t kThreads = 4;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr uint32_t kOps = 15'000;
#else
inline constexpr uint32_t kOps = 150'000;
#endif
inline constexpr uint32_t kKeys = 700;
inline constexpr uint32_t kSharedPoolId = 8;

// A page that tells what it should be: whose key, which version, and bytes that follow from both.
inline Page stamped(uint64_t owner, uint64_t version) {
  Page page = version % 3 == 0 ? noise(owner * 1'000'003 + version)
                               : (version % 3 == 1 ? text(version % 50) : same_filled(version % 5));
  if (version % 3 == 2 && owner < 1000) return page;  // same-filled ones carry no stamp
  std::memcpy(page.data(), &owner, 8);
  std::memcpy(page.data() + 8, &version, 8);
  return page;
}

inline bool is_stamped(const Page& page, uint64_t owner) {
  uint64_t claimed = 0;
  uint64_t version = 0;
  std::memcpy(&claimed, page.data(), 8);
  std::memcpy(&version, page.data() + 8, 8);
  return claimed == owner && page == stamped(owner, version);
}

// One guest: a private ephemeral pool 0, a persistent pool 1, the shared pool.
class BusyGuest {
 public:
  BusyGuest(Store& store, ClientRef client, uint32_t number)
      : store_(store), client_(std::move(client)), rng_(number + 100), number_(number) {}

  // Empty, or what went wrong.
  std::string run() {
    for (uint32_t i = 0; i < kOps && error_.empty(); ++i) {
      const uint32_t what = rng_.below(10);
      if (what < 4)
        persistent();
      else if (what < 7)
        ephemeral();
      else
        shared();
    }
    return error_;
  }

 private:
  void expect(bool right, const char* what) {
    if (!right && error_.empty())
      error_ = std::string(what) + " of guest " + std::to_string(number_);
  }

  void persistent() {
    const uint32_t i = rng_.below(kKeys);
    const Key k = key(1, i / 50, i);
    const auto held = versions_.find(i);
    const uint32_t what = rng_.below(20);
    if (what < 8) {
      const uint64_t version = rng_.below(5'000);
      expect(store_.put(worker_, *client_, k, stamped(number_, version)) == Status::kOk,
             "persistent put");
      versions_[i] = version;
    } else if (what < 18) {
      const Status status = store_.get(worker_, *client_, k, page_);
      expect(status == (held == versions_.end() ? Status::kMiss : Status::kOk), "persistent get");
      if (status == Status::kOk && held != versions_.end())
        expect(page_ == stamped(number_, held->second), "persistent bytes");
    } else if (what == 18) {
      const Status status = store_.flush_page(worker_, *client_, k);
      expect(status == (held == versions_.end() ? Status::kMiss : Status::kOk), "persistent flush");
      versions_.erase(i);
    } else {
      (void)store_.flush_object(*client_, k.pool, k.object);
      versions_.erase(versions_.lower_bound(i / 50 * 50), versions_.lower_bound(i / 50 * 50 + 50));
    }
  }

  void ephemeral() {
    const uint32_t i = rng_.below(kKeys);
    const Key k = key(0, i, i);
    const uint64_t owner = 1000 + number_ * kKeys + i;
    if (rng_.one_in(3)) {
      const Status status = store_.get(worker_, *client_, k, page_);
      expect(status == Status::kOk || status == Status::kMiss, "ephemeral get");
      if (status == Status::kOk) expect(is_stamped(page_, owner), "ephemeral bytes");
    } else {
      const Status status = store_.put(worker_, *client_, k, stamped(owner, rng_.below(5'000)));
      expect(status == Status::kOk || status == Status::kNoSpace, "ephemeral put");
    }
  }

  void shared() {
    const uint32_t i = rng_.below(kKeys);
    const Key k = key(kSharedPoolId, i / 7, i);
    const uint64_t owner = 1'000'000 + i;
    const uint32_t what = rng_.below(20);
    if (what < 10) {
      const Status status = store_.get(worker_, *client_, k, page_);
      expect(status == Status::kOk || status == Status::kMiss, "shared get");
      if (status == Status::kOk) expect(is_stamped(page_, owner), "shared bytes");
    } else if (what < 19) {
      const Status status = store_.put(worker_, *client_, k, stamped(owner, rng_.below(5'000)));
      expect(status == Status::kOk || status == Status::kNoSpace, "shared put");
    } else {
      (void)store_.flush_page(worker_, *client_, k);
    }
  }

  Store& store_;
  const ClientRef client_;
  Worker worker_;
  model::Rng rng_;
  const uint32_t number_;
  Page page_{};
  std::map<uint32_t, uint64_t> versions_;
  std::string error_;
};

inline std::string maintain(Store& store, ManualClock& clock, const std::atomic<bool>& stop) {
  Worker worker;
  while (!stop) {
    clock.advance_ms(3);
    if (!store.maintain(worker, 8)) std::this_thread::yield();
  }
  return {};
}

}  // namespace tmem::store
