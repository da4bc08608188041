// SPDX-License-Identifier: GPL-2.0-or-later
// The parts of a run. Internal to run*.cc.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "libtmem/base/clock.h"
#include "tests/model/run.h"
#include "tests/model/stream.h"
#include "tmemd/memory/slot_provider.h"

namespace tmem::model {

// What the store itself answered: its counters must say the same.
struct Tally {
  uint64_t puts_ok = 0;
  uint64_t puts_frozen = 0;
  uint64_t puts_no_space = 0;
  uint64_t same_filled = 0;
  uint64_t hits = 0;
  uint64_t flushes_found = 0;
};

struct Step {
  Operation op;
  store::Status status = store::Status::kOk;
};

// The thread of RunOptions::background.
class Maintainer {
 public:
  Maintainer(store::Store& store, ManualClock& clock)
      : thread_([this, &store, &clock] { loop(store, clock); }) {}
  ~Maintainer() {
    stop_ = true;
    thread_.join();
  }
  Maintainer(const Maintainer&) = delete;
  Maintainer& operator=(const Maintainer&) = delete;

  // No maintain() runs until resume().
  void pause() {
    paused_ = true;
    working_.lock();
  }
  void resume() {
    working_.unlock();
    paused_ = false;
  }

 private:
  void loop(store::Store& store, ManualClock& clock) {
    store::Worker worker;
    while (!stop_) {
      clock.advance_ms(1);
      bool more = false;
      if (!paused_) {
        const std::lock_guard lock(working_);
        more = store.maintain(worker, 16);
      }
      if (!more) std::this_thread::yield();
    }
  }

  std::atomic<bool> stop_ = false;
  std::atomic<bool> paused_ = false;
  std::mutex working_;
  std::thread thread_;
};

class Run {
 public:
  explicit Run(const RunOptions& options)
      : options_(options),
        shape_(shape_of(options)),
        contents_(options.seed),
        stream_(mix(options.seed + 1), shape_),
        reference_(options.regime, contents_) {
    history_.reserve(options.ops + 1000);
  }

  RunResult go();

 private:
  static Shape shape_of(const RunOptions& options) {
    Shape shape = Shape::draw(mix(options.seed), options.regime);
    if (!options.in_order) shape.caps = false;
    return shape;
  }
  bool open();
  void run_batch();
  bool judge(const Operation& op, store::Status status, store::PageBytes page);
  void count(const Operation& op, store::Status status);
  void administer(const Operation& op);
  void add_client(const Operation& op);
  void configure(const Operation& op);
  bool must_fit(uint32_t client, const store::ClientSettings& settings) const;
  void drain();
  void shrink(uint64_t bytes);
  void check_everything();
  void check_client(uint32_t client);
  void check_caps(uint32_t client);
  void check_counters(uint32_t client, const store::ClientCounters& counters);
  void sweep();
  bool is_empty() const;
  void close();

  bool failed() const { return result_.difference.has_value(); }
  void fail(const std::string& what, const Operation& op = {}) {
    if (!failed()) result_.difference = what + history_of(op);
  }
  std::string history_of(const Operation& op) const;

  const RunOptions& options_;
  const Shape shape_;
  const Contents contents_;
  Stream stream_;
  ReferenceStore reference_;
  ManualClock clock_;
  std::unique_ptr<memory::SlotProvider> provider_;
  std::unique_ptr<store::Store> store_;
  store::Worker worker_;
  std::unique_ptr<Subject> subject_;
  std::array<store::ClientRef, kClientsMax> refs_;
  std::array<bool, kClientsMax> cap_holds_{};  // false from a configure to the next drain
  std::array<Tally, kClientsMax> tally_;
  std::vector<Operation> batch_;
  uint64_t caps_checked_ = 0;  // operations before the last look at the caps
  std::vector<Step> history_;
  RunResult result_;
  std::unique_ptr<Maintainer> maintainer_;
};

}  // namespace tmem::model
