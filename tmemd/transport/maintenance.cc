// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/maintenance.h"

#include <pthread.h>

#include <chrono>
#include <string>
#include <system_error>

#include "libtmem/base/background.h"
#include "tmemd/transport/thread_signals.h"

namespace tmem::transport {
namespace {

constexpr unsigned kSlicesPerCall = 8;
constexpr std::chrono::milliseconds kIdleSleep{100};

}  // namespace

Result<std::unique_ptr<Maintenance>> Maintenance::start(store::Store& store) {
  std::unique_ptr<Maintenance> maintenance(new Maintenance(store));
  try {
    maintenance->thread_ = std::thread([raw = maintenance.get()] { raw->loop(); });
  } catch (const std::system_error& error) {
    return fail(Errc::kOs, std::string("cannot start the maintenance thread: ") + error.what());
  }
  (void)pthread_setname_np(maintenance->thread_.native_handle(), "tmem-maintain");
  return maintenance;
}

Maintenance::~Maintenance() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Maintenance::kick() {
  {
    const std::lock_guard lock(mutex_);
    kicked_ = true;
  }
  wake_.notify_one();
}

void Maintenance::loop() {
  block_signals_in_this_thread();
  become_background_thread();
  Pace pace;
  store::Worker worker([&pace] { pace.pause(); });
  bool busy = false;
  do {
    busy = store_.maintain(worker, kSlicesPerCall);
    if (busy) {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
    }
  } while (busy || sleep());
}

bool Maintenance::sleep() {
  std::unique_lock lock(mutex_);
  (void)wake_.wait_for(lock, kIdleSleep, [this] { return kicked_ || stop_; });
  kicked_ = false;
  return !stop_;
}

}  // namespace tmem::transport
