// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/fallow/keeper.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "libtmem/base/text.h"

namespace tmem::fallow {
namespace {

constexpr int kLookEveryMs = 500;
constexpr uint64_t kReadGuestsEveryMs = 30'000;
// A wish that is not met in this time, and its hold, ends all the same.
constexpr uint64_t kMakingMsMax = 600'000;
constexpr unsigned kSlicesPerLook = 128;  // of 16 KiB: about a slot's worth of work

}  // namespace

Keeper::Keeper(KeeperOptions options, const KeptPool& pool, UniqueFd wake)
    : options_(std::move(options)), pool_(pool), wake_(std::move(wake)) {
  fds_.push_back({wake_.get(), POLLIN, 0});
  for (const Watched& watched : options_.watched) fds_.push_back({watched.fd, POLLIN, 0});
}

Result<std::unique_ptr<Keeper>> Keeper::start(KeeperOptions options, const KeptPool& pool) {
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail_os("cannot create an eventfd");
  std::unique_ptr<Keeper> keeper(new Keeper(std::move(options), pool, std::move(wake)));
  TMEM_CHECK(keeper->look());
  try {
    keeper->thread_ = std::thread([raw = keeper.get()] { raw->loop(); });
  } catch (const std::system_error& error) {
    return fail(Errc::kOs, std::string("cannot start the keeper's thread: ") + error.what());
  }
  (void)pthread_setname_np(keeper->thread_.native_handle(), "tmem-keeper");
  return keeper;
}

Keeper::~Keeper() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake();
  thread_.join();
}

void Keeper::wake() {
  (void)eventfd_write(wake_.get(), 1);
}

Result<void> Keeper::make_room(uint64_t bytes, uint64_t hold_ms) {
  // Before looking: what is free then stays free. (The next look sets it right if this fails.)
  pool_.domain.set_floor_bytes(std::max(pool_.domain.floor_bytes(), bytes));
  wake();
  TMEM_TRY(const FreeMemory free, free_now());
  const uint64_t freeable_bytes = pool_.store.stats().freeable_bytes;
  const uint64_t from_guests_bytes = guests_bytes();
  if (free.bytes + freeable_bytes + from_guests_bytes < bytes) {
    const std::string guests =
        from_guests_bytes == 0 ? "" : ", the guests " + mib_text(from_guests_bytes);
    return fail(Errc::kNoSpace, mib_text(bytes) + " cannot be had: " + mib_text(free.bytes) +
                                    " are free and the pool can give back " +
                                    mib_text(freeable_bytes) + guests + "; shrink or stop a guest");
  }
  const uint64_t now_ms = pool_.clock.now_ms();
  const std::lock_guard lock(mutex_);
  wish_ = Wish{bytes, now_ms + kMakingMsMax + hold_ms, false};
  wish_hold_ms_ = hold_ms;
  stuck_ = false;
  state_.wish = KeeperState::OfWish{bytes, WishState::kMaking, hold_ms};
  follow_wish(free.bytes, now_ms);
  wake();
  return {};
}

void Keeper::cancel_room() {
  {
    const std::lock_guard lock(mutex_);
    wish_.reset();
    state_.wish.reset();
  }
  wake();
}

KeeperState Keeper::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void Keeper::loop() {
  become_background_thread();
  while (true) {
    const bool more = tick();
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
    }
    wait(more ? 0 : kLookEveryMs);
  }
}

void Keeper::wait(int timeout_ms) {
  (void)poll(fds_.data(), fds_.size(), timeout_ms);
  eventfd_t ignored = 0;
  (void)eventfd_read(wake_.get(), &ignored);
  for (size_t i = 0; i < options_.watched.size(); ++i) {
    pollfd& fd = fds_[i + 1];
    if ((fd.revents & POLLIN) != 0)
      options_.watched[i].on_readable();
    else if (fd.revents != 0)
      fd.fd = -1;  // broken: else it would be ready for ever
  }
}

// True when there is more to give back at once.
bool Keeper::tick() {
  if (pool_.domain.lost()) {
    if (!std::exchange(told_lost_, true) && options_.on_lost) options_.on_lost();
    return false;
  }
  if (!look()) return false;
  const store::ShrinkState state = pool_.store.shrink(worker_, kSlicesPerLook);
  note_stuck(state == store::ShrinkState::kStuck);
  return state == store::ShrinkState::kMore;
}

Result<Keeper::FreeMemory> Keeper::free_now() const {
  // In this order: what Xen counts meanwhile is left out twice, never forgotten.
  const uint64_t pending_bytes = pool_.domain.pending_bytes();
  TMEM_TRY(const memory::xen::HostMemoryInfo host, pool_.host.read());
  const uint64_t available_bytes = host.available_bytes();
  return FreeMemory{host, available_bytes - std::min(available_bytes, pending_bytes)};
}

// Looks at the host, and has pool and store keep to what follows from it.
Result<void> Keeper::look() {
  const uint64_t now_ms = pool_.clock.now_ms();
  if (guests_read_ms_ == 0 || now_ms - guests_read_ms_ >= kReadGuestsEveryMs) {
    guests_read_ms_ = std::max<uint64_t>(now_ms, 1);
    largest_guest_ = largest_guest_bytes(options_.guest_directories);
  }
  const auto free = free_now();
  const store::StoreStats stats = pool_.store.stats();
  const std::lock_guard lock(mutex_);
  end_old_wish(now_ms);
  if (!free) {
    state_.host.reset();
    return tl::make_unexpected(free.error());
  }
  const memory::xen::HostMemoryInfo& host = free->host;
  follow_wish(free->bytes, now_ms);
  state_.host = host;
  state_.head_room_bytes = head_room_bytes(options_.head_room, host.total_bytes, largest_guest_);
  state_.plan = plan(host, stats.arena_bytes, {stats.budget_bytes, state_.head_room_bytes}, wish_);
  // Under the mutex, so that no wish comes between; both only set a figure.
  pool_.domain.set_floor_bytes(state_.plan.floor_bytes);
  pool_.store.set_arena_limit(state_.plan.pool_bytes_max);
  return {};
}

// Under the mutex.
void Keeper::end_old_wish(uint64_t now_ms) {
  if (!wish_ || now_ms < wish_->until_ms) return;
  wish_.reset();
  state_.wish.reset();
}

// Under the mutex.
void Keeper::follow_wish(uint64_t free_bytes, uint64_t now_ms) {
  if (!wish_) return;
  if (!wish_->met && free_bytes >= wish_->bytes) {
    wish_->met = true;
    wish_->until_ms = now_ms + wish_hold_ms_;
  }
  state_.wish->state = wish_->met                      ? WishState::kReady
                       : stuck_ && guests_bytes() == 0 ? WishState::kImpossible
                                                       : WishState::kMaking;
  if (wish_->met) state_.wish->hold_ms = wish_->until_ms - now_ms;
}

void Keeper::note_stuck(bool stuck) {
  const uint64_t held_bytes = stuck ? pool_.store.stats().arena_bytes : 0;
  std::string line;
  {
    const std::lock_guard lock(mutex_);
    if (stuck && !stuck_)
      line = "the pool holds " + mib_text(held_bytes) + ", " +
             mib_text(state_.plan.pool_bytes_max) +
             " would leave the room that is wanted; the rest is persistent pages, which only their "
             "guests can take back";
    stuck_ = stuck;
    if (stuck && guests_bytes() == 0 && state_.wish && state_.wish->state == WishState::kMaking)
      state_.wish->state = WishState::kImpossible;
  }
  if (!line.empty() && options_.log) options_.log(line);
}

}  // namespace tmem::fallow
