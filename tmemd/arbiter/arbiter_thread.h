// SPDX-License-Identifier: GPL-2.0-or-later
// The thread of the arbiter, and of the idle tax: once a period, and at once when a guest reports
// that it is short of memory. It waits for nobody but xenstored, and no data path waits for it.
#pragma once
#include <memory>
#include <mutex>
#include <thread>

#include "libtmem/base/clock.h"
#include "libtmem/base/unique_fd.h"
#include "tmemd/arbiter/arbiter.h"
#include "tmemd/arbiter/tax_collector.h"

namespace tmem::arbiter {

// Thread safety: public methods from any thread; they wait for the thread's current turn.
class ArbiterThread {
 public:
  // Either may be null: where there are no Xen guests, and where no tax is wanted. `clock` outlives
  // it.
  static Result<std::unique_ptr<ArbiterThread>> start(std::unique_ptr<Arbiter> arbiter,
                                                      std::unique_ptr<TaxCollector> tax,
                                                      const Clock& clock);
  ~ArbiterThread();
  ArbiterThread(const ArbiterThread&) = delete;
  ArbiterThread& operator=(const ArbiterThread&) = delete;

  bool has_guests() const { return arbiter_ != nullptr; }
  // With guests only. As Arbiter's.
  nlohmann::json describe() const;
  Result<nlohmann::json> change(const Change& change);
  Result<nlohmann::json> why(const std::optional<std::string>& guest) const;

 private:
  ArbiterThread(std::unique_ptr<Arbiter> arbiter, std::unique_ptr<TaxCollector> tax,
                const Clock& clock);
  void loop();
  // When to look again without an event.
  uint64_t turn();
  void wait(uint64_t until_ms) const;

  const std::unique_ptr<Arbiter> arbiter_;   // under mutex_
  const std::unique_ptr<TaxCollector> tax_;  // of the thread
  const Clock& clock_;
  UniqueFd wake_;
  uint64_t last_ms_ = 0;  // of the thread
  uint64_t due_ms_ = 0;   // of the thread
  mutable std::mutex mutex_;
  bool stop_ = false;   // under mutex_
  bool now_ = false;    // under mutex_: something was changed
  std::thread thread_;  // last: it uses everything above
};

}  // namespace tmem::arbiter
