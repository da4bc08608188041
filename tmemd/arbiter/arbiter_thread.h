// SPDX-License-Identifier: GPL-2.0-or-later
// The thread of the arbiter, and of the idle tax: once a period, and at once when a guest reports
// that it is short of memory. It waits for nobody but xenstored, and no data path waits for it.
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "libtmem/base/clock.h"
#include "libtmem/base/unique_fd.h"
#include "tmemd/arbiter/arbiter.h"
#include "tmemd/arbiter/tax_collector.h"

namespace tmem::arbiter {

// Thread safety: public methods from any thread. Only change() waits for the thread's current turn,
// and not long: xenstored may be slow.
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
  // With guests only. As View's, of the last turn, and as Arbiter's; change() also: kConflict, the
  // turn lasts.
  nlohmann::json describe() const;
  Result<nlohmann::json> change(const Change& change);
  Result<nlohmann::json> why(const std::optional<std::string>& guest) const;

 private:
  ArbiterThread(std::unique_ptr<Arbiter> arbiter, std::unique_ptr<TaxCollector> tax,
                const Clock& clock);
  void loop();
  void publish();
  std::shared_ptr<const View> view() const;
  // When to look again without an event. `now`: something was changed.
  uint64_t turn(bool now);
  void wait(uint64_t until_ms) const;

  const std::unique_ptr<Arbiter> arbiter_;   // of the thread while in_turn_, else under mutex_
  const std::unique_ptr<TaxCollector> tax_;  // of the thread
  const Clock& clock_;
  UniqueFd wake_;
  uint64_t last_ms_ = 0;  // of the thread
  uint64_t due_ms_ = 0;   // of the thread
  std::mutex mutex_;      // guards the next three
  bool in_turn_ = false;
  bool stop_ = false;
  bool now_ = false;  // something was changed
  std::condition_variable turn_ended_;
  mutable std::mutex view_mutex_;     // taken last, and never held for long
  std::shared_ptr<const View> view_;  // under view_mutex_
  std::thread thread_;                // last: it uses everything above
};

}  // namespace tmem::arbiter
