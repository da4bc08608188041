// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/xen/guests.h"

#include <sys/eventfd.h>

#include <algorithm>

#include "tmem/text.hpp"

namespace tmem::transport::xen {
namespace {

constexpr const char* kIntroduced = "@introduceDomain";
constexpr const char* kReleased = "@releaseDomain";
constexpr const char* kDomainToken = "domains";
constexpr const char* kGuestToken = "guest ";  // and its number
// The rest is taken after guests had their turn.
constexpr int kEventsPerTurn = 1024;
// Xenstore tells of domains; this is for what it could not tell.
constexpr uint64_t kScanMs = 2'000;
// How full the pool is of pages that lie in it for long is looked at so often.
constexpr uint64_t kWriteBackMs = 1'000;
constexpr size_t kNameBytesMax = 63;

std::string token_of(DomId guest) {
  return kGuestToken + number_of(guest);
}

// The toolstack's name of a guest; "--incoming" is added while it migrates in.
std::string name_of(std::string_view text) {
  constexpr std::string_view kIncoming = "--incoming";
  if (text.ends_with(kIncoming)) text.remove_suffix(kIncoming.size());
  std::string name;
  for (const char c : text.substr(0, kNameBytesMax)) name += c > 0x20 && c < 0x7f ? c : '_';
  return name;
}

}  // namespace

Guests::Guests(GuestWorld& world)
    : world_(world), mailbox_event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  world_.options.on_queue_closed = [this](DomId guest, uint64_t connection, CloseReason reason) {
    note_closed_queue({guest, connection, reason});
  };
}

Result<void> Guests::begin() {
  if (!mailbox_event_) return fail_os("cannot create an eventfd");
  TMEM_CHECK(world_.platform.store->watch(kIntroduced, kDomainToken));
  TMEM_CHECK(world_.platform.store->watch(kReleased, kDomainToken));
  return {};
}

// Nodes of domains that died while no daemon looked, or none that served them.
void Guests::remove_leftovers(const std::vector<Domain>& domains) {
  for (const char* const root : {kBackendRoot, kErrorRoot}) {
    for (const std::string& name : world_.platform.store->list(root)) {
      const auto number = parse_number(name, UINT16_MAX);
      const auto is_it = [&](const Domain& domain) {
        return number && static_cast<uint64_t>(domain.id) == *number && !domain.dying;
      };
      if (std::none_of(domains.begin(), domains.end(), is_it))
        world_.platform.store->remove(std::string(root) + "/" + name);
    }
  }
}

// It may not use tmem; an earlier daemon may have let it.
Result<void> Guests::turn_away(const Domain& domain) {
  const std::string state = backend_path(domain.id) + "/state";
  TMEM_TRY(const auto old_state, world_.platform.store->look(state));
  turned_away_.insert({domain.id, domain.handle});
  if (!old_state) return {};
  for (const BusState closing : {BusState::kClosing, BusState::kClosed})
    (void)world_.platform.store->write(state, std::to_string(static_cast<uint32_t>(closing)));
  return {};
}

bool Guests::handle() {
  handle_closed_queues();
  const bool more = take_events();
  const uint64_t now_ms = world_.clock.now_ms();
  if (std::exchange(to_scan_, false) || now_ms >= next_scan_ms_) scan();
  if (now_ms >= next_write_back_ms_) ask_for_write_back();
  for (const auto& [id, guest] : guests_)
    if (guest->due_ms() <= now_ms) to_look_at_.insert(id);
  for (const DomId id : std::exchange(to_look_at_, {}))
    if (const auto found = guests_.find(id); found != guests_.end()) found->second->look();
  return more;
}

bool Guests::take_events() {
  for (int i = 0; i < kEventsPerTurn; ++i) {
    const auto event = world_.platform.store->next_event();
    if (!event) return false;
    if (event->token == kDomainToken) to_scan_ = true;
    const std::string_view token = event->token;
    if (!token.starts_with(kGuestToken)) continue;
    if (const auto id =
            parse_number(token.substr(std::string_view(kGuestToken).size()), UINT16_MAX))
      to_look_at_.insert(DomId{static_cast<uint16_t>(*id)});
  }
  return true;
}

void Guests::scan() {
  next_scan_ms_ = world_.clock.now_ms() + kScanMs;
  const auto domains = world_.platform.domains->list();
  const Result<void> taken_in = domains ? take_in(*domains) : tl::make_unexpected(domains.error());
  if (std::exchange(scan_failed_, !taken_in) || taken_in) return;
  world_.options.log(taken_in.error().message);
}

void Guests::ask_for_write_back() {
  if (world_.options.write_back_kib_s == 0) {
    next_write_back_ms_ = UINT64_MAX;
    return;
  }
  next_write_back_ms_ = world_.clock.now_ms() + kWriteBackMs;
  const store::StoreStats stats = world_.store.stats();
  const uint64_t room_bytes = std::min(stats.best_effort_bytes, stats.limit_bytes);
  const bool wanted = write_back_.update(stats.limit_bytes - room_bytes, stats.limit_bytes);
  for (const auto& [id, guest] : guests_)
    guest->set_write_back(wanted && guest->exceeds_guarantee() ? world_.options.write_back_kib_s
                                                               : 0);
}

Result<void> Guests::take_in(const std::vector<Domain>& domains) {
  bury_dead(domains);
  remove_leftovers(domains);
  for (const Domain& domain : domains)
    if (!domain.dying) TMEM_CHECK(consider(domain));
  return {};
}

// A number may belong to another domain already: the handle tells.
void Guests::bury_dead(const std::vector<Domain>& domains) {
  const auto lives = [&domains](DomId id, const Uuid& handle) {
    return std::any_of(domains.begin(), domains.end(), [&](const Domain& d) {
      return d.id == id && d.handle == handle && !d.dying;
    });
  };
  for (auto it = guests_.begin(); it != guests_.end();) {
    const auto& [id, guest] = *it;
    if (lives(id, guest->identity().uuid)) {
      ++it;
      continue;
    }
    world_.platform.store->unwatch(frontend_path(id) + "/state", token_of(id));
    guest->bury();
    it = guests_.erase(it);
  }
  std::erase_if(turned_away_, [&lives](const auto& one) { return !lives(one.first, one.second); });
}

Result<void> Guests::consider(const Domain& domain) {
  if (guests_.contains(domain.id) || turned_away_.contains({domain.id, domain.handle})) return {};
  // Without a name the toolstack has not introduced it yet.
  TMEM_TRY(const auto name, world_.platform.store->look(domain_path(domain.id) + "/name"));
  if (!name) return {};
  const store::ClientIdentity identity{domain.handle, domain.id, name_of(*name)};
  if (!world_.options.admits(identity)) return turn_away(domain);
  auto guest = std::make_unique<Guest>(world_, identity);
  TMEM_CHECK(guest->begin());
  guests_.emplace(domain.id, std::move(guest));
  // It fires at once, so what happened meanwhile is seen.
  const auto watched =
      world_.platform.store->watch(frontend_path(domain.id) + "/state", token_of(domain.id));
  if (!watched) world_.options.log(watched.error().message);
  return {};
}

void Guests::note_closed_queue(const ClosedQueue& closed) {
  const std::lock_guard lock(mailbox_mutex_);
  mailbox_.push_back(closed);
  (void)eventfd_write(mailbox_event_.get(), 1);
}

void Guests::handle_closed_queues() {
  std::vector<ClosedQueue> closed;
  {
    const std::lock_guard lock(mailbox_mutex_);
    eventfd_t ignored = 0;
    (void)eventfd_read(mailbox_event_.get(), &ignored);
    closed.swap(mailbox_);
  }
  for (const ClosedQueue& queue : closed)
    if (const auto found = guests_.find(queue.guest); found != guests_.end())
      found->second->misbehaved(queue.connection, queue.reason);
}

uint64_t Guests::due_ms() const {
  uint64_t due_ms = std::min(next_scan_ms_, next_write_back_ms_);
  for (const auto& [id, guest] : guests_) due_ms = std::min(due_ms, guest->due_ms());
  return due_ms;
}

void Guests::stop() {
  for (const auto& [id, guest] : guests_) guest->stop();
  guests_.clear();
}

Guest* Guests::find(uint32_t client) {
  for (const auto& [id, guest] : guests_)
    if (guest->client() != nullptr && world_.store.number(*guest->client()) == client)
      return guest.get();
  return nullptr;
}

std::vector<GuestInfo> Guests::infos() const {
  std::vector<GuestInfo> infos;
  for (const auto& [id, guest] : guests_) infos.push_back(guest->info());
  return infos;
}

}  // namespace tmem::transport::xen
