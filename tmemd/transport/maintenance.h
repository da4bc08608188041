// SPDX-License-Identifier: GPL-2.0-or-later
// The thread that does the store's background work (compression, cleaning, giving memory back),
// in bounded slices, at low priority (background.h).
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "libtmem/base/result.h"
#include "tmemd/store/store.h"

namespace tmem::transport {

class Maintenance {
 public:
  // `store` must outlive the object.
  static Result<std::unique_ptr<Maintenance>> start(store::Store& store);
  ~Maintenance();
  Maintenance(const Maintenance&) = delete;
  Maintenance& operator=(const Maintenance&) = delete;

  // Looks for work now. Any thread; never blocks for long.
  void kick();

 private:
  explicit Maintenance(store::Store& store) : store_(store) {}
  void loop();
  bool sleep();  // false: stop

  store::Store& store_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool kicked_ = false;  // under mutex_
  bool stop_ = false;    // under mutex_
  std::thread thread_;   // last: it uses everything above
};

}  // namespace tmem::transport
