// SPDX-License-Identifier: GPL-2.0-or-later
// One run: a scenario under a strategy, with the pool or without.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "policy/balloon_progress.h"
#include "policy/estimator.h"
#include "policy/idle_tax.h"
#include "policy/strategy.h"
#include "policy/urgent_turns.h"
#include "policy/write_back.h"
#include "tools/lab/policies/agent.h"
#include "tools/lab/policies/measure.h"

namespace tmem::lab::policies {

class SimHost {
 public:
  SimHost(const Scenario& scenario, const Constants& constants, policy::Strategy& strategy,
          bool with_pool);
  SimHost(const SimHost&) = delete;
  SimHost& operator=(const SimHost&) = delete;

  RunResult run();

  // For tests: tick by tick.
  uint32_t ticks() const { return scenario_.duration_ms / kTickMs; }
  void tick();
  uint32_t now() const { return tick_; }
  const SimGuest& guest(uint32_t id) const { return *guests_[id]; }
  const HostPool& pool() const { return pool_; }
  const SharedDisk& disk() const { return disk_; }
  uint64_t target_pages(uint32_t id) const { return target_pages_[id]; }

 private:
  void decide();
  void set_target(uint32_t id, uint64_t target_bytes);
  bool is_measured() const;
  void tax_idle_guests();
  void measure();
  policy::HostView view() const;
  bool is_stuck(uint32_t id) const;
  RunResult result();

  const Scenario& scenario_;
  const Constants constants_;
  policy::Strategy& strategy_;
  HostPool pool_;
  SharedDisk disk_;
  std::vector<std::unique_ptr<SimGuest>> guests_;
  std::vector<Agent> agents_;
  std::vector<Measure> measures_;
  std::vector<uint64_t> target_pages_;
  std::vector<policy::BalloonProgress> progress_;
  policy::UrgentTurns urgent_turns_;
  std::vector<policy::PerSecond> urgent_turns_of_;
  policy::Estimator estimator_;
  policy::IdleTax idle_tax_;
  policy::WriteBack write_back_;
  bool wants_write_back_ = false;
  std::vector<policy::GuestInput> inputs_;
  std::vector<policy::Estimate> estimates_;
  uint32_t tick_ = 0;
  uint64_t moved_ = 0;
  double lent_bytes_ticks_ = 0;
};

}  // namespace tmem::lab::policies
