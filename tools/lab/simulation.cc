// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/simulation.h"

#include <algorithm>
#include <utility>

namespace tmem::lab {

Simulation::Simulation(const Parameters& parameters, const Model& model, Contents& contents,
                       const Setup& setup)
    : parameters_(parameters),
      model_(model),
      setup_(setup),
      host_(parameters, model, guests_, setup.pool),
      disk_(model.disk),
      vcpus_(model.host.guests + 1),
      idle_cores_(model.host.cores) {
  for (uint32_t number = 0; number < model.host.guests; ++number) {
    PageStore* store = setup.stores.empty() ? nullptr : setup.stores[number];
    guests_.push_back(std::make_unique<Guest>(parameters_, model_, number, contents, store));
  }
  result_.guest_wall_ns.resize(model.host.guests);
}

void Simulation::schedule(uint64_t in_ns, Event event) {
  event.at_ns = now_ns_ + in_ns;
  event.order = order_++;
  events_.push(event);
}

void Simulation::schedule_start() {
  for (uint32_t guest = 0; guest < guests_.size(); ++guest) {
    make_ready(guest);
    // The guests did not boot in the same moment: their periods are out of step.
    const uint64_t part = guest + 1;
    const uint64_t of = guests_.size() + 1;
    schedule(model_.guest.writeback_period_ns * part / of,
             {.kind = Kind::kWriteBack, .guest = guest});
    if (setup_.self_ballooning) {
      schedule(model_.balloon.period_ns * part / of, {.kind = Kind::kBalloon, .guest = guest});
    }
  }
  schedule(model_.host.step_ns, {.kind = Kind::kStep});
}

Result<RunResult> Simulation::run(const Progress& progress) {
  TMEM_CHECK(host_.start());
  for (const auto& guest : guests_) TMEM_CHECK(guest->start());
  schedule_start();
  dispatch();
  uint64_t handled = 0;
  while (!all_finished()) {
    const Event event = events_.top();
    events_.pop();
    now_ns_ = event.at_ns;
    TMEM_CHECK(handle(event));
    dispatch();
    for (const auto& guest : guests_) {
      if (guest->memory().failure()) return fail(Errc::kConflict, *guest->memory().failure());
    }
    if (++handled % 4096 == 0 && progress && !progress(done())) {
      return fail(Errc::kDenied, "interrupted");
    }
  }
  TMEM_CHECK(step());
  return result();
}

Result<void> Simulation::handle(const Event& event) {
  switch (event.kind) {
    case Kind::kSliceEnd:
      ++idle_cores_;
      vcpus_[event.guest].running = false;
      if (event.guest != dom0()) note_finished(event.guest);
      if (runnable(event.guest)) make_ready(event.guest);
      return {};
    case Kind::kSubmit:
      dom0_debt_ns_ += model_.cost.disk_dom0_ns;
      make_ready(dom0());
      disk_.submit({event.request, event.guest, event.process});
      start_disk();
      return {};
    case Kind::kDiskDone:
      disk_done();
      return {};
    case Kind::kWake:
      guests_[event.guest]->wake(event.process);
      make_ready(event.guest);
      return {};
    case Kind::kBalloon:
      schedule(model_.balloon.period_ns, event);
      return balloon(event.guest);
    case Kind::kWriteBack:
      schedule(model_.guest.writeback_period_ns, event);
      guests_[event.guest]->memory().set_now(now_ns_);
      guests_[event.guest]->memory().write_back();
      submit_kernel_writes(event.guest);
      return {};
    case Kind::kStep:
      schedule(model_.host.step_ns, event);
      return step();
  }
  return {};
}

Result<void> Simulation::balloon(uint32_t guest) {
  guests_[guest]->memory().set_now(now_ns_);
  TMEM_CHECK(host_.balloon(*guests_[guest]));
  submit_kernel_writes(guest);
  const uint64_t start = uint64_t{model_.host.guests} *
                         scaled_mib(model_.guest.memory_mib, parameters_.scale) * kPageBytes;
  const uint64_t given = start - std::min(start, host_.guests_bytes());
  result_.ballooned_bytes_peak = std::max(result_.ballooned_bytes_peak, given);
  return {};
}

// Moves the pool's clock; its background work is CPU time of dom0.
Result<void> Simulation::step() {
  if (setup_.pool == nullptr) return {};
  TMEM_CHECK(setup_.pool->advance(model_.host.step_ns / kMs));
  TMEM_TRY(const PoolStats stats, setup_.pool->stats());
  TMEM_CHECK(host_.check(stats));
  note(stats);
  return {};
}

void Simulation::note(const PoolStats& stats) {
  dom0_debt_ns_ += (stats.lz4_pages - last_stats_.lz4_pages) * model_.cost.lz4_ns +
                   (stats.zstd_pages - last_stats_.zstd_pages) * model_.cost.zstd_ns;
  if (dom0_debt_ns_ > 0) make_ready(dom0());
  last_stats_ = stats;
  result_.evicted_pages = stats.evicted_pages;
  result_.real_bytes_peak = std::max(result_.real_bytes_peak, stats.held_bytes);
  if (stats.pages * kPageBytes > result_.apparent_bytes_peak) {
    result_.apparent_bytes_peak = stats.pages * kPageBytes;
    result_.at_peak = stats;
  }
}

void Simulation::submit_kernel_writes(uint32_t guest) {
  for (const DiskRequest& request : guests_[guest]->take_kernel_effects()) {
    schedule(0, {.kind = Kind::kSubmit, .guest = guest, .request = request});
  }
  if (guests_[guest]->runnable()) make_ready(guest);
}

void Simulation::start_disk() {
  const auto service = disk_.start();
  if (service) schedule(*service, {.kind = Kind::kDiskDone});
}

void Simulation::disk_done() {
  const Disk::Job job = disk_.finish();
  Guest& guest = *guests_[job.guest];
  if (job.request.write) {
    guest.write_done(job.request.pages);
  } else {
    guest.read_done(job.process);
  }
  if (guest.runnable()) make_ready(job.guest);
  start_disk();
}

bool Simulation::runnable(uint32_t vcpu) const {
  return vcpu == dom0() ? dom0_debt_ns_ > 0 : guests_[vcpu]->runnable();
}

void Simulation::make_ready(uint32_t vcpu) {
  Vcpu& state = vcpus_[vcpu];
  if (state.queued || state.running) return;
  state.queued = true;
  ready_.push_back(vcpu);
}

void Simulation::dispatch() {
  while (idle_cores_ > 0 && !ready_.empty()) {
    const uint32_t vcpu = ready_.front();
    ready_.pop_front();
    vcpus_[vcpu].queued = false;
    if (!runnable(vcpu)) continue;
    vcpus_[vcpu].running = true;
    --idle_cores_;
    if (vcpu != dom0()) {
      run_guest(vcpu);
      continue;
    }
    const uint64_t used = std::min(dom0_debt_ns_, model_.host.slice_ns);
    dom0_debt_ns_ -= used;
    result_.dom0_ns += used;
    schedule(used, {.kind = Kind::kSliceEnd, .guest = vcpu});
  }
}

void Simulation::run_guest(uint32_t number) {
  Guest::Slice slice = guests_[number]->run(now_ns_, model_.host.slice_ns);
  // A hit may have had to be decompressed: charged by the part of the pool that is compressed.
  if (last_stats_.contents > 0) {
    slice.used_ns += slice.gets_hit * model_.cost.get_compressed_ns * last_stats_.compressed_pages /
                     last_stats_.contents;
  }
  for (const Guest::Submitted& submitted : slice.requests) {
    schedule(submitted.at_ns, {.kind = Kind::kSubmit,
                               .guest = number,
                               .process = submitted.process,
                               .request = submitted.request});
  }
  for (const Guest::Slept& slept : slice.slept) {
    schedule(slept.wake_at_ns - now_ns_,
             {.kind = Kind::kWake, .guest = number, .process = slept.process});
  }
  schedule(slice.used_ns, {.kind = Kind::kSliceEnd, .guest = number});
  result_.vcpu_ns += slice.used_ns;
}

void Simulation::note_finished(uint32_t guest) {
  uint64_t& wall = result_.guest_wall_ns[guest];
  if (wall == 0 && guests_[guest]->finished()) wall = now_ns_;
}

bool Simulation::all_finished() const {
  return std::ranges::all_of(result_.guest_wall_ns, [](uint64_t wall) { return wall > 0; });
}

double Simulation::done() const {
  double sum = 0;
  for (const auto& guest : guests_) {
    sum += static_cast<double>(guest->build().jobs_done()) / guest->build().jobs_total();
  }
  return sum / static_cast<double>(guests_.size());
}

Result<RunResult> Simulation::result() const {
  RunResult result = result_;
  const auto add = [&result](uint64_t GuestCounters::*field, const GuestCounters& of) {
    result.counters.*field += of.*field;
  };
  for (const auto& guest : guests_) {
    const GuestCounters& c = guest->memory().counters();
    for (const auto field :
         {&GuestCounters::sectors_read, &GuestCounters::sectors_written,
          &GuestCounters::swap_sectors_read, &GuestCounters::swap_sectors_written,
          &GuestCounters::cleancache_puts, &GuestCounters::cleancache_gets,
          &GuestCounters::cleancache_hits, &GuestCounters::frontswap_puts,
          &GuestCounters::frontswap_refused, &GuestCounters::frontswap_hits,
          &GuestCounters::flushes, &GuestCounters::pages_compared,
          &GuestCounters::file_pages_evicted, &GuestCounters::pages_swapped_out}) {
      add(field, c);
    }
  }
  result.hits = result.counters.cleancache_hits + result.counters.frontswap_hits;
  result.wall_ns = std::ranges::max(result.guest_wall_ns);
  result.vcpu_ns += result.dom0_ns;
  result.disk_busy_ns = disk_.busy_ns();
  result.host_memory_bytes = host_.total_bytes();
  return result;
}

}  // namespace tmem::lab
