// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/daemon.h"

#include <sys/eventfd.h>
#include <sys/random.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "tmemd/arbiter/rivals.h"
#include "tmemd/guest_log.h"
#include "tmemd/transport/xen/native.h"
#include "tmemd/transport_stats.h"
#include "tmemd/xendomains.h"

namespace tmem {
namespace {

// Of living clients: what a dead one left is not waited for.
uint64_t persistent_pages(const store::Store& store) {
  uint64_t pages = 0;
  for (const store::ClientStats& client : store.all_client_stats())
    pages += client.pages[static_cast<size_t>(store::Kind::kPersistent)];
  return pages;
}

}  // namespace

Daemon::~Daemon() {
  // Its hooks call into the rest.
  if (control_ != nullptr) control_->stop();
  // It asks the keeper.
  arbiter_.reset();
  // It works on the store.
  if (memory_ != nullptr) memory_->stop_keeping();
}

Result<std::unique_ptr<Daemon>> Daemon::start(const control::Config& config, const Clock& clock,
                                              LogSink log) {
  return start(config, clock, std::unique_ptr<Daemon>(new Daemon(std::move(log), nullptr)));
}

Result<std::unique_ptr<Daemon>> Daemon::start_stepped(const control::Config& config,
                                                      ManualClock& clock, LogSink log) {
  return start(config, clock, std::unique_ptr<Daemon>(new Daemon(std::move(log), &clock)));
}

Result<std::unique_ptr<Daemon>> Daemon::start(const control::Config& config, const Clock& clock,
                                              std::unique_ptr<Daemon> daemon) {
  daemon->stop_event_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!daemon->stop_event_) return fail_os("cannot create an eventfd");
  TMEM_CHECK(daemon->open_memory(config));
  TMEM_CHECK(daemon->open_store(config, clock));
  TMEM_CHECK(daemon->open_transport(config, clock));
  TMEM_CHECK(daemon->open_policy(config, clock));
  TMEM_CHECK(daemon->open_control(config, clock));
  return daemon;
}

Result<void> Daemon::open_memory(const control::Config& config) {
  TMEM_TRY(memory_, PoolMemory::open(config, /*may_use_xen=*/stepped_ == nullptr, log_));
  return {};
}

Result<void> Daemon::open_store(const control::Config& config, const Clock& clock) {
  uint64_t seed = config.seed;
  if (seed == 0 && getrandom(&seed, sizeof(seed), 0) != static_cast<ssize_t>(sizeof(seed)))
    return fail_os("cannot get random bytes");
  store::Options options = config.store;
  options.budget_bytes = memory_->budget_bytes();
  options.heap_bytes_max = memory_->heap_bytes_max();
  if (config.seed == 0 && getrandom(&options.epoch, sizeof(options.epoch), 0) !=
                              static_cast<ssize_t>(sizeof(options.epoch)))
    return fail_os("cannot get random bytes for the store's epoch");
  TMEM_TRY(store_, store::Store::create(options, memory_->slots(), clock, seed));
  for (const store::SharedGrant& grant : config.shared_grants)
    store_->authorise_shared(grant, true);
  if (stepped_ != nullptr) return {};
  TMEM_TRY(maintenance_, transport::Maintenance::start(*store_));
  TMEM_CHECK(memory_->keep(*store_, clock, [this] { end_for_lost_memory(); }));
  return {};
}

void Daemon::end_for_lost_memory() {
  log_(LogKind::kWarning,
       "somebody destroyed the pool domain: all pages are lost. Guests get I/O errors for "
       "persistent "
       "ones; tmemd goes on with new memory");
  memory_lost_.store(true);
  (void)eventfd_write(stop_event_.get(), 1);
}

Result<void> Daemon::open_transport(const control::Config& config, const Clock& clock) {
  transport::WorkerOptions worker_options;
  worker_options.threads =
      config.workers != 0 ? config.workers : transport::default_worker_threads();
  worker_options.may_spin = transport::spinning_makes_sense();
  worker_options.on_no_space = [this] { kick_maintenance(); };
  TMEM_TRY(workers_, transport::Workers::start(worker_options));

  const auto log = std::make_shared<GuestLog>(clock, log_);
  TMEM_CHECK(open_loopback(config, clock, log));
  TMEM_CHECK(open_xen(config, clock, log));
  return {};
}

Result<void> Daemon::open_loopback(const control::Config& config, const Clock& clock,
                                   const std::shared_ptr<GuestLog>& log) {
  transport::LoopbackOptions options;
  options.socket_path = config.loopback.socket_path;
  options.socket_mode = config.loopback.mode;
  options.connections_max = config.loopback.clients_max;
  options.limits.queues_default = std::min(config.loopback.queues, uint32_t{TMEM_QUEUES_MAX});
  options.settings_for = [config](const store::ClientIdentity& identity) {
    return config.settings_for(identity);
  };
  options.log = [log](const std::string& line) { log->line(line); };
  options.on_client_gone = [this] { kick_maintenance(); };
  TMEM_TRY(loopback_,
           transport::LoopbackServer::start(std::move(options), *store_, *workers_, clock));
  return {};
}

Result<void> Daemon::open_xen(const control::Config& config, const Clock& clock,
                              const std::shared_ptr<GuestLog>& log) {
  using Enabled = control::XenConfig::Enabled;
  if (config.xen.enabled == Enabled::kNo || stepped_ != nullptr) return {};
  Result<transport::xen::Platform> platform = transport::xen::open_native();
  if (!platform) {
    const bool may_do_without =
        config.xen.enabled == Enabled::kAuto && platform.error().code == Errc::kNotFound;
    if (!may_do_without) return tl::make_unexpected(platform.error());
    log_(LogKind::kWarning, "serving no Xen guests: " + platform.error().message);
    return {};
  }
  transport::xen::GuestOptions options;
  options.limits = {config.xen.queues_max, config.xen.ring_order_max, config.xen.slots_max};
  options.write_back_kib_s = static_cast<uint32_t>(config.xen.write_back_bytes_s / kKiB);
  options.admits = [xen = config.xen](const store::ClientIdentity& identity) {
    return xen.admits(identity);
  };
  options.settings_for = [config](const store::ClientIdentity& identity) {
    return config.settings_for(identity);
  };
  options.log = [log](const std::string& line) { log->line(line); };
  options.note = [log](const std::string& line) { log->line(line, LogKind::kInfo); };
  options.on_client_gone = [this] { kick_maintenance(); };
  TMEM_TRY(xen_, transport::xen::XenServer::start(std::move(options), *std::move(platform), *store_,
                                                  *workers_, clock));
  log_(LogKind::kInfo, "serving the guests of this Xen host");
  const std::string warning = xendomains_warning(kXendomainsPath);
  if (!warning.empty()) log_(LogKind::kWarning, warning);
  return {};
}

Result<std::unique_ptr<arbiter::Arbiter>> Daemon::make_arbiter(const control::Config& config) {
  TMEM_TRY(auto xenstore, transport::xen::open_xenstore());
  TMEM_TRY(auto domains, transport::xen::open_domains());
  transport::xen::XenStore* const looked_at = xenstore.get();
  arbiter::World world{.xenstore = std::move(xenstore),
                       .domains = std::move(domains),
                       .store = *store_,
                       .host = [this] { return memory_->host_share(*store_); },
                       .on_surplus = [this](uint64_t bytes) { memory_->set_guests_bytes(bytes); },
                       .rival = [looked_at] { return arbiter::find_rival(*looked_at, {}); },
                       .rule_for =
                           [config](const store::ClientIdentity& identity) {
                             return config.memory_rule_for(identity);
                           },
                       .pool_weight_for =
                           [config](const store::ClientIdentity& identity) {
                             return config.settings_for(identity).weight;
                           },
                       .log = [this](const std::string& line) { log_(LogKind::kWarning, line); },
                       .note = [this](const std::string& line) { log_(LogKind::kInfo, line); }};
  return arbiter::Arbiter::create(config.policy, std::move(world));
}

Result<void> Daemon::open_policy(const control::Config& config, const Clock& clock) {
  if (stepped_ != nullptr) return {};
  std::unique_ptr<arbiter::Arbiter> arbiter;
  if (xen_ != nullptr) {
    const auto watched = memory_->watch_host();
    if (watched) {
      TMEM_TRY(arbiter, make_arbiter(config));
    } else if (watched.error().code == Errc::kNotFound) {
      log_(LogKind::kWarning,
           "the guests' own memory is not scheduled: " + watched.error().message);
    } else {
      return watched;
    }
  }
  std::unique_ptr<arbiter::TaxCollector> tax;
  if (config.policy.idle_tax) tax = std::make_unique<arbiter::TaxCollector>(*store_);
  TMEM_TRY(arbiter_, arbiter::ArbiterThread::start(std::move(arbiter), std::move(tax), clock));
  return {};
}

Result<void> Daemon::open_control(const control::Config& config, const Clock& clock) {
  control::ServerOptions options;
  options.socket_path = config.control.socket_path;
  options.mode = config.control.mode;
  options.group = config.control.group;
  TMEM_TRY(control_, control::ControlServer::create(options, *store_, clock, hooks()));
  return {};
}

control::Hooks Daemon::hooks() {
  control::Hooks hooks;
  hooks.request_shutdown = [this](bool force) -> Result<void> {
    if (!force) TMEM_CHECK(begin_stop());
    stop_requested_.store(true);
    (void)eventfd_write(stop_event_.get(), 1);
    return {};
  };
  if (stepped_ != nullptr)
    hooks.step_clock = [this](uint64_t milliseconds) { step_clock(milliseconds); };
  hooks.refuse_new_pages = [this](bool refuse) { refuse_new_pages(refuse); };
  hooks.transport_stats = [this] { return transport_stats(*loopback_, *workers_, xen_.get()); };
  hooks.disconnect_client = [this](uint32_t number) { return disconnect_client(number); };
  hooks.client_transports = [this] { return client_transports(*loopback_, xen_.get()); };
  hooks.set_evacuating = [this](uint32_t number, bool on) -> Result<void> {
    if (xen_ != nullptr && xen_->set_evacuating(number, on)) return {};
    return fail(Errc::kConflict,
                "this client is no Xen guest: only those are asked to take their pages back");
  };
  hooks.memory = [this] { return memory_->describe(*store_); };
  hooks.make_room = [this](uint64_t bytes, uint64_t hold_ms) {
    return memory_->make_room(bytes, hold_ms);
  };
  hooks.cancel_room = [this] { memory_->cancel_room(); };
  if (arbiter_ != nullptr && arbiter_->has_guests()) {
    hooks.policy = [this] { return arbiter_->describe(); };
    hooks.change_policy = [this](const arbiter::Change& change) {
      return arbiter_->change(change);
    };
    hooks.why = [this](const std::optional<std::string>& guest) { return arbiter_->why(guest); };
  }
  hooks.log = [this](const std::string& line) { log_(LogKind::kInfo, line); };
  return hooks;
}

Result<void> Daemon::disconnect_client(uint32_t number) {
  const store::ClientRef client = store_->find_client(number);
  const bool found = client != nullptr && (loopback_->disconnect(number) ||
                                           (xen_ != nullptr && xen_->disconnect(number)));
  if (!found) return fail(Errc::kNotFound, "no connected client has this number");
  // A loopback connection ends a moment later; its pages are gone when the administrator is
  // answered.
  store_->remove_client(*client);
  return {};
}

void Daemon::kick_maintenance() {
  if (maintenance_ != nullptr) maintenance_->kick();
}

void Daemon::step_clock(uint64_t milliseconds) {
  constexpr unsigned kSlicesPerCall = 64;  // about 1 MiB of work
  stepped_->advance_ms(milliseconds);
  store::Worker worker;
  // At most about one pass over all memory: what is then left waits for the next step.
  const uint64_t calls_max = 16 + store_->stats().budget_bytes / kMiB;
  for (uint64_t i = 0; i < calls_max && store_->maintain(worker, kSlicesPerCall); ++i) {
  }
}

Result<void> Daemon::may_stop() const {
  const uint64_t pages = persistent_pages(*store_);
  if (pages == 0) return {};
  return fail(Errc::kConflict,
              "clients hold " + std::to_string(pages) +
                  " persistent pages that exist nowhere else, so tmemd does not stop. Disconnect "
                  "these clients or let them take their pages back ('tmem list -l' shows them); "
                  "'tmem shutdown --force' or SIGQUIT stops all the same and loses the pages");
}

Result<void> Daemon::begin_stop() {
  refuse_new_pages(true);
  auto allowed = may_stop();
  if (!allowed) refuse_new_pages(false);
  return allowed;
}

void Daemon::refuse_new_pages(bool refuse) {
  const std::lock_guard lock(refusals_mutex_);
  if (refuse)
    ++refusals_;
  else
    --refusals_;
  store_->refuse_new_pages(refusals_ != 0);
}

std::string Daemon::status_line() const {
  const store::StoreStats stats = store_->stats();
  return std::to_string(stats.clients) + " clients, " + std::to_string(stats.held_bytes / kMiB) +
         " of " + std::to_string(stats.budget_bytes / kMiB) + " MiB held, " +
         std::to_string(persistent_pages(*store_)) + " persistent pages";
}

}  // namespace tmem
