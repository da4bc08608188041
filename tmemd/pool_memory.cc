// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/pool_memory.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "libtmem/base/text.h"
#include "tmemd/memory/memfd.h"
#include "tmemd/transport/xen/native.h"

namespace tmem {
namespace {

using nlohmann::json;
using Provider = control::PoolConfig::Provider;

// Where the administrator's toolstack keeps the guests' configurations.
const std::vector<std::string>& guest_directories() {
  static const std::vector<std::string> directories = {"/etc/xen", "/etc/xen/auto"};
  return directories;
}

// Empty: a pool domain makes sense here. Else why not.
std::string why_no_domain() {
  if (access("/dev/xen/privcmd", R_OK | W_OK) != 0) return "this is not Xen's domain 0";
  std::string type;
  std::ifstream("/sys/hypervisor/guest_type") >> type;
  if (type != "PV") return "domain 0 is not a PV domain, so a pool domain would be slow";
  return "";
}

// So much of domain 0's own memory may the page tables of a pool domain take, as a part.
constexpr uint64_t kPageTablesShare = 8;
// And the index of the pages, which may have more entries than honest guests need.
constexpr uint64_t kHeapShare = 4;

// How much the page tables allow: they take 8 bytes a page.
uint64_t mappable_bytes(uint64_t own_memory_bytes) {
  return own_memory_bytes / kPageTablesShare / sizeof(uint64_t) * kPageBytes;
}

// Of this domain; 0 when the kernel does not say.
uint64_t own_memory_bytes() {
  struct sysinfo info {};
  return sysinfo(&info) == 0 ? uint64_t{info.totalram} * info.mem_unit : 0;
}

json rate(uint64_t bytes, uint64_t ns) {
  if (ns == 0) return nullptr;
  return static_cast<uint64_t>(static_cast<double>(bytes) * 1e9 / static_cast<double>(ns));
}

const char* to_string(fallow::WishState state) {
  switch (state) {
    case fallow::WishState::kMaking:
      return "making";
    case fallow::WishState::kReady:
      return "ready";
    case fallow::WishState::kImpossible:
      break;
  }
  return "impossible";
}

}  // namespace

PoolMemory::PoolMemory(const control::Config& config, LogSink log)
    : config_(config.pool), size_bytes_(config.store.budget_bytes), log_(std::move(log)) {}

Result<std::unique_ptr<PoolMemory>> PoolMemory::open(const control::Config& config,
                                                     bool may_use_xen, const LogSink& log) {
  std::unique_ptr<PoolMemory> memory(new PoolMemory(config, log));
  const bool no_xen = !may_use_xen || config.xen.enabled == control::XenConfig::Enabled::kNo;
  if (config.pool.provider == Provider::kPoolDomain) {
    // Nobody would keep to the head-room: the keeper looks at what Xen has free by real time.
    if (!may_use_xen)
      return fail(Errc::kConflict,
                  "a pool domain cannot be simulated: write provider = \"memfd\" in [pool], or "
                  "remove manual_clock from [daemon]");
    TMEM_CHECK(memory->open_domain());
    memory->warn_of_guarantees(config);
    return memory;
  }
  if (config.pool.provider == Provider::kAuto && !no_xen) {
    std::string obstacle = why_no_domain();
    if (obstacle.empty()) {
      const auto opened = memory->open_domain();
      if (opened) memory->warn_of_guarantees(config);
      if (opened) return memory;
      // Anything else may pass, and a predecessor's memory would stay where nobody gives it back.
      if (opened.error().code != Errc::kNotFound) return tl::make_unexpected(opened.error());
      obstacle = opened.error().message;
      // What it got so far goes.
      memory.reset(new PoolMemory(config, log));
    }
    log(LogKind::kInfo, "the pool is part of tmemd's own memory: " + obstacle);
  }
  TMEM_CHECK(control::check_funds(config, memory->size_bytes_));
  TMEM_CHECK(memory->open_memfd());
  return memory;
}

// A pool domain may be larger another time: in a host with other guests, or more mappings.
void PoolMemory::warn_of_guarantees(const control::Config& config) {
  const auto funded = control::check_funds(config, budget_bytes_);
  if (!funded) log_(LogKind::kWarning, "clients may be refused: " + funded.error().message);
}

PoolMemory::~PoolMemory() {
  keeper_.reset();
  if (domain_ == nullptr) return;
  // Whoever destroyed the domain removed its nodes, and its number may be another's.
  if (domain_->lost()) return;
  const auto destroyed = domain_->destroy();
  if (!destroyed)
    log_(LogKind::kWarning, "the pool domain stays: " + destroyed.error().message);
  else if (nodes_)
    nodes_->remove();
}

memory::SlotProvider& PoolMemory::slots() {
  return domain_ != nullptr ? *domain_ : *memfd_;
}

Result<void> PoolMemory::open_memfd() {
  budget_bytes_ = size_bytes_;
  TMEM_TRY(memfd_, memory::create_memfd_provider({size_bytes_, config_.populate}));
  return {};
}

Result<void> PoolMemory::open_domain() {
  TMEM_TRY(host_, memory::xen::open_host_memory());
  TMEM_TRY(const memory::xen::HostMemoryInfo host, host_->read());
  memory::xen::PoolDomainOptions options;
  options.bytes_max = std::min(host.total_bytes, mappable_bytes(own_memory_bytes()));
  if (config_.has_size) options.bytes_max = std::min(options.bytes_max, size_bytes_);
  options.on_stranded = [log = log_](const std::string& line) { log(LogKind::kWarning, line); };
  TMEM_TRY(auto hypervisor, memory::xen::open_hypervisor());
  TMEM_TRY(domain_, memory::xen::PoolDomain::open(std::move(hypervisor), *host_, options));
  budget_bytes_ = domain_->bytes_max();
  if (const uint64_t own_bytes = own_memory_bytes(); own_bytes != 0)
    heap_bytes_max_ = own_bytes / kHeapShare;
  auto low_memory = memory::xen::open_low_memory_event();
  if (low_memory)
    low_memory_ = *std::move(low_memory);
  else
    log_(LogKind::kInfo,
         "Xen's free memory is looked at twice a second only: " + low_memory.error().message);
  TMEM_CHECK(publish());
  const memory::xen::RecoveryReport& found = domain_->report();
  for (const std::string& warning : found.warnings) log_(LogKind::kWarning, warning);
  log_(LogKind::kInfo,
       "the pool lives in domain " + std::to_string(static_cast<unsigned>(domain_->domain())) +
           (found.found
                ? "; a predecessor left " + mib_text(uint64_t{found.slots} * memory::kSlotBytes) +
                      " there, whose pages are lost"
                : ""));
  return {};
}

Result<void> PoolMemory::publish() {
  TMEM_TRY(auto xenstore, transport::xen::open_xenstore());
  TMEM_TRY(nodes_, PoolNodes::publish(std::move(xenstore), domain_->domain()));
  return {};
}

void PoolMemory::answer_toolstack() {
  for (const std::string& request : nodes_->handle_events())
    log_(LogKind::kInfo,
         "the pool domain is asked to " + request + ": it ends with tmemd ('tmem shutdown')");
}

Result<void> PoolMemory::keep(store::Store& store, const Clock& clock,
                              std::function<void()> on_lost) {
  if (domain_ == nullptr) return {};
  fallow::KeeperOptions options;
  options.head_room = config_.head_room;
  options.guest_directories = guest_directories();
  options.watched.push_back({nodes_->fd(), [this] { answer_toolstack(); }});
  if (low_memory_ != nullptr)
    options.watched.push_back({low_memory_->fd(), [this] { low_memory_->acknowledge(); }});
  options.guests_bytes = [this] { return guests_bytes_.load(); };
  options.log = [this](const std::string& line) { log_(LogKind::kWarning, line); };
  options.on_lost = std::move(on_lost);
  TMEM_TRY(keeper_, fallow::Keeper::start(std::move(options), {store, *domain_, *host_, clock}));
  return {};
}

Result<void> PoolMemory::make_room(uint64_t bytes, uint64_t hold_ms) {
  if (keeper_ == nullptr)
    return fail(Errc::kConflict,
                "the pool is part of tmemd's own memory, which no guest can have: see [pool] "
                "provider in docs/configuration.md");
  return keeper_->make_room(bytes, hold_ms);
}

Result<void> PoolMemory::watch_host() {
  if (host_ == nullptr) {
    TMEM_TRY(host_, memory::xen::open_host_memory());
  }
  return {};
}

Result<arbiter::HostShare> PoolMemory::host_share(const store::Store& store) const {
  // In this order: what the pool takes meanwhile is not counted twice.
  const uint64_t pending_bytes = domain_ != nullptr ? domain_->pending_bytes() : 0;
  const store::StoreStats stats = store.stats();
  TMEM_TRY(const memory::xen::HostMemoryInfo host, host_->read());
  arbiter::HostShare share;
  share.free_bytes = host.free_bytes - std::min(host.free_bytes, pending_bytes);
  share.claims_bytes = host.claimed_bytes;
  if (keeper_ == nullptr) {
    share.head_room_bytes = fallow::head_room_bytes(
        config_.head_room, host.total_bytes, fallow::largest_guest_bytes(guest_directories()));
    return share;
  }
  const fallow::KeeperState state = keeper_->state();
  share.head_room_bytes =
      fallow::reserved_bytes(share.free_bytes - std::min(share.free_bytes, share.claims_bytes),
                             state.head_room_bytes, state.wish ? state.wish->bytes : 0,
                             state.wish && state.wish->state == fallow::WishState::kReady);
  share.has_pool = true;
  share.pool_held_bytes = stats.arena_bytes;
  share.pool_freeable_bytes = stats.freeable_bytes;
  return share;
}

void PoolMemory::cancel_room() {
  if (keeper_ != nullptr) keeper_->cancel_room();
}

json PoolMemory::describe(const store::Store& store) const {
  const store::StoreStats stats = store.stats();
  if (keeper_ == nullptr)
    return {{"provider", "memfd"},
            {"held_bytes", stats.held_bytes},
            {"limit_bytes", stats.budget_bytes},
            {"freeable_bytes", stats.freeable_bytes},
            {"host", nullptr},
            {"head_room_bytes", nullptr},
            {"take_bytes_per_s", nullptr},
            {"give_back_bytes_per_s", nullptr},
            {"room", nullptr},
            {"pool_domain", nullptr},
            {"stranded_slots", nullptr}};
  const fallow::KeeperState state = keeper_->state();
  const memory::xen::PoolDomainTimes times = domain_->times();
  // Of this moment, as the answers of other programs.
  const auto host = host_->read();
  json result = {{"provider", "pool-domain"},
                 {"held_bytes", stats.arena_bytes},
                 {"limit_bytes", state.plan.pool_bytes_max},
                 {"freeable_bytes", stats.freeable_bytes},
                 {"host", nullptr},
                 {"head_room_bytes", state.head_room_bytes},
                 {"take_bytes_per_s", rate(times.taken_bytes, times.take_ns)},
                 {"give_back_bytes_per_s", rate(times.given_bytes, times.give_ns)},
                 {"room", nullptr},
                 {"pool_domain", static_cast<unsigned>(domain_->domain())},
                 {"stranded_slots", domain_->stranded_slots()}};
  if (host)
    result["host"] = {{"total_bytes", host->total_bytes},
                      {"free_bytes", host->free_bytes},
                      {"claimed_bytes", host->claimed_bytes}};
  if (state.wish)
    result["room"] = {{"wanted_bytes", state.wish->bytes},
                      {"state", to_string(state.wish->state)},
                      {"hold_ms", state.wish->hold_ms}};
  return result;
}

}  // namespace tmem
