// SPDX-License-Identifier: GPL-2.0-or-later
// The thread that fits a pool on Xen's own memory to what Xen has free: every half second, when Xen
// says that memory runs low, and when somebody wishes for room.
//
//   Xen's free memory, claims ─► plan ─► floor of the pool domain (growth stops there)
//                                  └──► limit of the store, which shrinks in slices above it
//
// Lock order: the keeper's mutex is held for bookkeeping, and for setting the two limits; never
// across work of the store, the pool domain or Xen.
#pragma once
#include <poll.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "libtmem/base/background.h"
#include "libtmem/base/clock.h"
#include "libtmem/base/result.h"
#include "libtmem/base/unique_fd.h"
#include "tmemd/fallow/head_room.h"
#include "tmemd/fallow/plan.h"
#include "tmemd/memory/xen/hypervisor.h"
#include "tmemd/memory/xen/pool_domain.h"
#include "tmemd/store/store.h"

namespace tmem::fallow {

// Something else that the thread waits for.
struct Watched {
  int fd = -1;
  std::function<void()> on_readable;
};

// The most that the pool may hold is the store's budget.
struct KeeperOptions {
  HeadRoom head_room;
  std::vector<std::string> guest_directories;  // of xl configurations
  std::vector<Watched> watched;                // Xen's word that memory runs low, for one
  // What the guests will be asked for, where the policy sets their memory; may be empty.
  std::function<uint64_t()> guests_bytes;
  std::function<void(const std::string&)> log;  // what is wrong
  // Once, on the keeper's thread, when somebody else destroyed the pool domain.
  std::function<void()> on_lost;
};

// What the keeper works with; all outlive it.
struct KeptPool {
  store::Store& store;
  memory::xen::PoolDomain& domain;
  const memory::xen::HostMemory& host;
  const Clock& clock;
};

enum class WishState { kMaking, kReady, kImpossible };

struct KeeperState {
  std::optional<memory::xen::HostMemoryInfo> host;  // nothing: Xen did not say
  uint64_t head_room_bytes = 0;
  Plan plan;
  struct OfWish {
    uint64_t bytes = 0;
    WishState state = WishState::kMaking;
    uint64_t hold_ms = 0;  // left
  };
  std::optional<OfWish> wish;
};

// Thread safety: every method from any thread.
class Keeper {
 public:
  // Has looked once, so that the store's limits hold, when it returns.
  static Result<std::unique_ptr<Keeper>> start(KeeperOptions options, const KeptPool& pool);
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  // Begins to give memory back until `bytes` are free and unclaimed, and takes none of them for
  // `hold_ms` after that. Replaces an earlier wish. Errors: kNoSpace when there is not so much,
  // with what the guests can give.
  Result<void> make_room(uint64_t bytes, uint64_t hold_ms);
  void cancel_room();
  KeeperState state() const;

 private:
  Keeper(KeeperOptions options, const KeptPool& pool, UniqueFd wake);
  void loop();
  bool tick();
  Result<void> look();
  // What nobody has, nor is about to get.
  struct FreeMemory {
    memory::xen::HostMemoryInfo host;
    uint64_t bytes;
  };
  Result<FreeMemory> free_now() const;
  void end_old_wish(uint64_t now_ms);
  void follow_wish(uint64_t free_bytes, uint64_t now_ms);
  void note_stuck(bool stuck);
  uint64_t guests_bytes() const { return options_.guests_bytes ? options_.guests_bytes() : 0; }
  void wake();
  void wait(int timeout_ms);

  const KeeperOptions options_;
  const KeptPool pool_;
  const UniqueFd wake_;
  std::vector<pollfd> fds_;  // of the thread: wake_, then what is watched
  Pace pace_;                // of the thread, as the next
  store::Worker worker_{[this] { pace_.pause(); }};
  uint64_t guests_read_ms_ = 0;  // of the thread: when the guests' configurations were read
  uint64_t largest_guest_ = 0;   // of the thread
  bool told_lost_ = false;       // of the thread

  mutable std::mutex mutex_;  // guards all below
  KeeperState state_;
  std::optional<Wish> wish_;
  uint64_t wish_hold_ms_ = 0;
  bool stuck_ = false;  // holds more than planned, and nothing can be given back
  bool stop_ = false;

  std::thread thread_;  // last: it uses everything above
};

}  // namespace tmem::fallow
