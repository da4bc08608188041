// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/guest.h"

#include <algorithm>
#include <utility>

namespace tmem::lab {
namespace {
constexpr uint32_t kSystem = ~0u;  // build id of the guest's daemons
}

Guest::Guest(const Parameters& parameters, const Model& model, uint32_t number, Contents& contents,
             PageStore* store)
    : parameters_(parameters),
      model_(model),
      memory_(parameters, model, number, contents, store),
      build_(parameters, model.build, number, contents.guest_files(number), memory_),
      self_shrink_(model.balloon) {
  add_process(system_load(parameters, model.build, mix(parameters.seed, number, 700)), kSystem);
}

Result<void> Guest::start() {
  TMEM_CHECK(memory_.connect(model_.build.trees));
  start_processes();
  return {};
}

uint32_t Guest::add_process(std::unique_ptr<Work> work, uint32_t build_id) {
  if (free_processes_.empty()) {
    free_processes_.push_back(static_cast<uint32_t>(processes_.size()));
    processes_.emplace_back();
  }
  const uint32_t id = free_processes_.back();
  free_processes_.pop_back();
  processes_[id] = Process{std::move(work), build_id, 0, 0, 0, false};
  run_queue_.push_back(id);
  return id;
}

void Guest::start_processes() {
  for (Build::Started started = build_.next(); started.work; started = build_.next()) {
    add_process(std::move(started.work), started.id);
  }
}

void Guest::retire(uint32_t id) {
  const uint32_t build_id = processes_[id].build_id;
  processes_[id].work.reset();
  free_processes_.push_back(id);
  build_.ended(build_id);
  start_processes();
}

Guest::Slice Guest::run(uint64_t now_ns, uint64_t budget_ns) {
  Slice slice;
  slice.gets_hit = std::exchange(kernel_gets_hit_, 0);
  const uint64_t kernel = std::min(kernel_debt_ns_, budget_ns);
  kernel_debt_ns_ -= kernel;
  slice.used_ns = kernel;
  while (slice.used_ns < budget_ns && !run_queue_.empty() && !memory_.failure()) {
    const uint32_t id = run_queue_.front();
    if (processes_[id].debt_ns > 0) {
      const uint64_t paid = std::min(processes_[id].debt_ns, budget_ns - slice.used_ns);
      processes_[id].debt_ns -= paid;
      slice.used_ns += paid;
      continue;
    }
    if (processes_[id].sleep_ns > 0) {
      run_queue_.pop_front();
      const uint64_t sleep = std::exchange(processes_[id].sleep_ns, 0);
      slice.slept.push_back({id, now_ns + slice.used_ns + sleep});
      continue;
    }
    if (processes_[id].done) {
      run_queue_.pop_front();
      retire(id);
      continue;
    }
    memory_.set_now(now_ns + slice.used_ns);
    if (!run_step(id, slice)) run_queue_.pop_front();
  }
  // The next slice begins with another process.
  if (run_queue_.size() > 1) {
    run_queue_.push_back(run_queue_.front());
    run_queue_.pop_front();
  }
  cpu_ns_ += slice.used_ns;
  return slice;
}

bool Guest::run_step(uint32_t id, Slice& slice) {
  Process& process = processes_[id];
  const StepResult result = process.work->step(memory_);
  const Effects effects = memory_.take_effects();
  process.debt_ns = result.cpu_ns + effects.cpu_ns;
  process.sleep_ns = result.sleep_ns;
  process.done = result.done;
  slice.gets_hit += effects.gets_hit;
  for (const DiskRequest& request : effects.requests) {
    slice.requests.push_back({slice.used_ns, id, request});
    if (request.write) {
      writes_pending_pages_ += request.pages;
    } else {
      ++process.reads_pending;
    }
  }
  if (process.reads_pending > 0) return false;
  if (writes_pending_pages_ > model_.guest.writes_pending_pages_max) {
    throttled_.push_back(id);
    return false;
  }
  return true;
}

void Guest::read_done(uint32_t process) {
  if (--processes_[process].reads_pending == 0) run_queue_.push_back(process);
}

void Guest::write_done(uint32_t pages) {
  writes_pending_pages_ -= pages;
  if (writes_pending_pages_ > model_.guest.writes_pending_pages_max / 2) return;
  run_queue_.insert(run_queue_.end(), throttled_.begin(), throttled_.end());
  throttled_.clear();
}

std::vector<DiskRequest> Guest::take_kernel_effects() {
  Effects effects = memory_.take_effects();
  kernel_debt_ns_ += effects.cpu_ns;
  kernel_gets_hit_ += effects.gets_hit;
  for (const DiskRequest& request : effects.requests) writes_pending_pages_ += request.pages;
  return std::move(effects.requests);
}

BalloonInput Guest::balloon_input() const {
  BalloonInput input;
  input.current = memory_.present();
  input.committed = memory_.committed();
  input.max = memory_.max();
  const uint64_t boot = scaled_mib(model_.guest.memory_mib, parameters_.scale);
  input.total_reserve = total_reserve_pages(boot, parameters_.scale);
  input.reserved = boot * model_.balloon.reserved_percent / 100;
  input.frontswap = memory_.frontswap_pages();
  return input;
}

}  // namespace tmem::lab
