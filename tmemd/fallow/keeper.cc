// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/fallow/keeper.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace tmem::fallow {
namespace {

constexpr int kLookEveryMs = 500;
constexpr uint64_t kReadGuestsEveryMs = 30'000;
// A wish that is not met in this time, and its hold, ends all the same.
constexpr uint64_t kMakingMsMax = 600'000;
constexpr unsigned kSlicesPerLook = 128;  // of 16 KiB: about a slot's worth of work

std::string mib(uint64_t bytes) {
  return std::to_string(bytes / kMiB) + " MiB";
}

}  // namespace

Keeper::Keeper(KeeperOptions options, const KeptPool& pool, UniqueFd wake)
    : options_(std::move(options)), pool_(pool), wake_(std::move(wake)) {}

Result<std::unique_ptr<Keeper>> Keeper::start(KeeperOptions options, const KeptPool& pool) {
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail_os("cannot create an eventfd");
  std::unique_ptr<Keeper> keeper(new Keeper(std::move(options), pool, std::move(wake)));
  keeper->look();
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
  const auto host = pool_.host.read();
  if (!host) return tl::make_unexpected(host.error());
  const uint64_t freeable_bytes = pool_.store.stats().freeable_bytes;
  if (host->available_bytes() + freeable_bytes < bytes)
    return fail(Errc::kNoSpace, mib(bytes) + " cannot be had: " + mib(host->available_bytes()) +
                                    " are free and the pool can give back " + mib(freeable_bytes) +
                                    "; shrink or stop a guest");
  {
    const std::lock_guard lock(mutex_);
    wish_ = Wish{bytes, pool_.clock.now_ms() + kMakingMsMax + hold_ms, false};
    wish_hold_ms_ = hold_ms;
    stuck_ = false;
    state_.wish = KeeperState::OfWish{bytes, WishState::kMaking, hold_ms};
  }
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
  while (true) {
    const bool more = tick();
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
    }
    if (!more) wait();
  }
}

void Keeper::wait() {
  std::vector<pollfd> fds = {{wake_.get(), POLLIN, 0}};
  for (const Watched& watched : options_.watched) fds.push_back({watched.fd, POLLIN, 0});
  (void)poll(fds.data(), fds.size(), kLookEveryMs);
  eventfd_t ignored = 0;
  (void)eventfd_read(wake_.get(), &ignored);
  for (size_t i = 0; i < options_.watched.size(); ++i)
    if ((fds[i + 1].revents & POLLIN) != 0) options_.watched[i].on_readable();
}

// True when there is more to give back at once.
bool Keeper::tick() {
  if (pool_.domain.lost()) {
    if (!std::exchange(told_lost_, true) && options_.on_lost) options_.on_lost();
    return false;
  }
  look();
  const store::ShrinkState state = pool_.store.shrink(worker_, kSlicesPerLook);
  note_stuck(state == store::ShrinkState::kStuck);
  return state == store::ShrinkState::kMore;
}

// Looks at the host, and has pool and store keep to what follows from it.
void Keeper::look() {
  const uint64_t now_ms = pool_.clock.now_ms();
  if (guests_read_ms_ == 0 || now_ms - guests_read_ms_ >= kReadGuestsEveryMs) {
    guests_read_ms_ = std::max<uint64_t>(now_ms, 1);
    largest_guest_ = largest_guest_bytes(options_.guest_directories);
  }
  const auto host = pool_.host.read();
  const uint64_t pool_bytes = pool_.domain.held_bytes();
  const uint64_t budget_bytes = pool_.store.stats().budget_bytes;
  Plan plan;
  {
    const std::lock_guard lock(mutex_);
    if (!host) {
      state_.host.reset();
      return;
    }
    const uint64_t head_room =
        head_room_bytes(options_.head_room, host->total_bytes, largest_guest_);
    plan = fallow::plan(*host, pool_bytes, {budget_bytes, head_room}, follow_wish(*host));
    state_.host = *host;
    state_.head_room_bytes = head_room;
    state_.plan = plan;
  }
  pool_.domain.set_floor_bytes(plan.floor_bytes);
  pool_.store.set_arena_limit(plan.pool_bytes_max);
}

// Under the mutex.
std::optional<Wish> Keeper::follow_wish(const memory::xen::HostMemoryInfo& host) {
  if (!wish_) return wish_;
  const uint64_t now_ms = pool_.clock.now_ms();
  if (!wish_->met && host.available_bytes() >= wish_->bytes) {
    wish_->met = true;
    wish_->until_ms = now_ms + wish_hold_ms_;
  }
  if (now_ms >= wish_->until_ms) {
    wish_.reset();
    state_.wish.reset();
    return wish_;
  }
  state_.wish->state = wish_->met ? WishState::kReady
                       : stuck_   ? WishState::kImpossible
                                  : WishState::kMaking;
  if (wish_->met) state_.wish->hold_ms = wish_->until_ms - now_ms;
  return wish_;
}

void Keeper::note_stuck(bool stuck) {
  std::string line;
  {
    const std::lock_guard lock(mutex_);
    if (stuck && !stuck_)
      line = "the pool holds " + mib(pool_.domain.held_bytes()) + ", " +
             mib(state_.plan.pool_bytes_max) +
             " would leave the room that is wanted; the rest is persistent pages, which only their "
             "guests can take back";
    stuck_ = stuck;
    if (stuck && state_.wish && state_.wish->state == WishState::kMaking)
      state_.wish->state = WishState::kImpossible;
  }
  if (!line.empty() && options_.log) options_.log(line);
}

}  // namespace tmem::fallow
