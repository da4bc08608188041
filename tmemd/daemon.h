// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon: memory, store, workers, transports, policy and control socket, put together.
// No globals and no signals: main.cc adds those, tests embed it with sockets in a directory of
// their own and a clock that they drive.
//
// Members are destroyed in reverse order: the control socket first, then connections, workers,
// store, memory.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "libtmem/base/clock.h"
#include "libtmem/base/result.h"
#include "libtmem/base/unique_fd.h"
#include "tmemd/arbiter/arbiter_thread.h"
#include "tmemd/control/config.h"
#include "tmemd/control/server.h"
#include "tmemd/log.h"
#include "tmemd/pool_memory.h"
#include "tmemd/store/store.h"
#include "tmemd/transport/loopback/server.h"
#include "tmemd/transport/maintenance.h"
#include "tmemd/transport/workers.h"
#include "tmemd/transport/xen/server.h"

namespace tmem {

class GuestLog;

class Daemon {
 public:
  // Serves when it returns. `clock` must outlive the daemon; `log` is called from any thread.
  static Result<std::unique_ptr<Daemon>> start(const control::Config& config, const Clock& clock,
                                               LogSink log);
  // The same under a clock that only the control verb `step` moves; no background thread.
  static Result<std::unique_ptr<Daemon>> start_stepped(const control::Config& config,
                                                       ManualClock& clock, LogSink log);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Whether it may stop now. Errors: kConflict while connected clients hold persistent pages; the
  // message says what to do.
  Result<void> may_stop() const;
  // The same, and from then on clients cannot put new pages, so that none is lost; on an error they
  // can go on.
  Result<void> begin_stop();
  // Readable once somebody asked over the control socket that the daemon ends, or its memory is
  // lost.
  int stop_event() const { return stop_event_.get(); }
  bool stop_requested() const { return stop_requested_.load(); }
  // Somebody destroyed the pool domain: all pages are lost. Another daemon has to take over, which
  // guests see as any other end of this one.
  bool memory_lost() const { return memory_lost_.load(); }

  store::Store& store() { return *store_; }
  transport::LoopbackServer& loopback() { return *loopback_; }
  const transport::Workers& workers() const { return *workers_; }
  // One line for people: clients and memory.
  std::string status_line() const;

 private:
  Daemon(LogSink log, ManualClock* stepped) : log_(std::move(log)), stepped_(stepped) {}
  static Result<std::unique_ptr<Daemon>> start(const control::Config& config, const Clock& clock,
                                               std::unique_ptr<Daemon> daemon);
  void step_clock(uint64_t milliseconds);
  // Counted: several may want it at once.
  void refuse_new_pages(bool refuse);
  Result<void> disconnect_client(uint32_t number);
  void kick_maintenance();
  Result<void> open_memory(const control::Config& config);
  Result<void> open_store(const control::Config& config, const Clock& clock);
  void end_for_lost_memory();
  Result<void> open_transport(const control::Config& config, const Clock& clock);
  Result<void> open_loopback(const control::Config& config, const Clock& clock,
                             const std::shared_ptr<GuestLog>& log);
  Result<void> open_xen(const control::Config& config, const Clock& clock,
                        const std::shared_ptr<GuestLog>& log);
  Result<void> open_policy(const control::Config& config, const Clock& clock);
  Result<std::unique_ptr<arbiter::Arbiter>> make_arbiter(const control::Config& config);
  Result<void> open_control(const control::Config& config, const Clock& clock);
  control::Hooks hooks();

  const LogSink log_;
  ManualClock* const stepped_;  // null where time runs by itself
  UniqueFd stop_event_;
  std::atomic<bool> stop_requested_{false};
  std::atomic<bool> memory_lost_{false};
  std::mutex refusals_mutex_;
  unsigned refusals_ = 0;  // under refusals_mutex_
  std::unique_ptr<PoolMemory> memory_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<transport::Maintenance> maintenance_;  // null with stepped_
  std::unique_ptr<transport::Workers> workers_;
  std::unique_ptr<transport::LoopbackServer> loopback_;
  std::unique_ptr<transport::xen::XenServer> xen_;   // null where there is no Xen
  std::unique_ptr<arbiter::ArbiterThread> arbiter_;  // null with stepped_
  std::unique_ptr<control::ControlServer> control_;
};

}  // namespace tmem
