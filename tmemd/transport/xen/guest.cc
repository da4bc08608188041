// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/transport/xen/guest.h"

#include <algorithm>
#include <utility>

#include "tmem/text.hpp"

namespace tmem::transport::xen {
namespace {

constexpr uint64_t kNever = UINT64_MAX;
// A port may still belong to a daemon that is dying: its memory goes before its ports.
constexpr uint64_t kBindPatienceMs = 5'000;
constexpr uint64_t kBindPauseMs = 50;
// Another client with this uuid still lives: a guest that migrates within the host.
constexpr uint64_t kClientPauseMs = 500;
// The domain's nodes are gone: it dies, and Xen will say so. Or xenstore does not answer.
constexpr uint64_t kStorePauseMs = 2'000;
// A connection that lasted shorter earns a penalty, doubled each time.
constexpr uint64_t kSettledMs = 10'000;
constexpr uint64_t kPenaltyMinMs = 100;
constexpr uint64_t kPenaltyMaxMs = 10'000;

std::string text_of(BusState state) {
  return std::to_string(static_cast<uint32_t>(state));
}

// Where a frontend may go at any time.
bool may_leave_to(BusState state) {
  return state == BusState::kInitialising || state == BusState::kClosing ||
         state == BusState::kClosed;
}

}  // namespace

Guest::Guest(GuestWorld& world, store::ClientIdentity identity)
    : world_(world),
      identity_(std::move(identity)),
      frontend_(frontend_path(identity_.domid)),
      backend_(backend_path(identity_.domid)) {}

Guest::~Guest() {
  drop_connection();
  drop_client();
}

Result<BusState> Guest::read_state(const std::string& folder) const {
  TMEM_TRY(const auto text, world_.platform.store->look(folder + "/state"));
  const auto number = parse_number(text.value_or(""), static_cast<uint32_t>(BusState::kClosed));
  return number ? static_cast<BusState>(*number) : BusState::kNone;
}

void Guest::write_state(BusState state) {
  if (const auto done = world_.platform.store->write(backend_ + "/state", text_of(state)); !done)
    world_.options.log(title() + ": " + done.error().message);
}

Result<void> Guest::begin() {
  TMEM_TRY(const BusState old_backend, read_state(backend_));
  TMEM_TRY(const BusState state, read_state(frontend_));
  ++world_.counters.guests_seen;
  // Without a frontend they are those of a dead domain that had the same number.
  if (state == BusState::kNone) world_.platform.store->remove(backend_folder(identity_.domid));
  make_nodes();
  const bool was_connected = old_backend == BusState::kConnected &&
                             (state == BusState::kInitialised || state == BusState::kConnected);
  const bool is_new = old_backend == BusState::kNone || state == BusState::kNone;
  if (was_connected) {
    phase_ = Phase::kTakingOver;
  } else if (is_new || old_backend == BusState::kInitWait) {
    offer();
  } else {
    close_backend();
  }
  look();
  return {};
}

// What does not exist yet; and our limits, which an earlier daemon may have had otherwise.
void Guest::make_nodes() {
  XenStore& store = *world_.platform.store;
  const Limits& limits = world_.options.limits;
  (void)store.make(backend_, {kOurDomain, identity_.domid});
  XenStore::Nodes nodes = {
      {backend_ + "/frontend", frontend_},
      {backend_ + "/frontend-id", number_of(identity_.domid)},
      {backend_ + "/online", "1"},
      {backend_ + "/version-min", std::to_string(TMEM_ABI_VERSION)},
      {backend_ + "/version-max", std::to_string(TMEM_ABI_VERSION)},
      {backend_ + "/max-queues", std::to_string(limits.queues_max)},
      {backend_ + "/max-ring-order", std::to_string(limits.ring_order_max)},
      {backend_ + "/max-slots", std::to_string(limits.slots_max)},
      {backend_ + "/feature-credits", (kXenFeatures & TMEM_FEATURE_CREDITS) != 0 ? "1" : "0"},
      {backend_ + "/write-back", std::to_string(write_back_kib_s_)},
  };
  const auto evacuate = read_number(store, backend_ + "/evacuate");
  evacuating_ = evacuate && *evacuate != 0;
  if (!evacuate) nodes.emplace_back(backend_ + "/evacuate", "0");
  if (const auto done = store.write_all(nodes); !done)
    world_.options.log(title() + ": " + done.error().message);
}

// Lets the guest connect. A frontend that is gone is made anew, unless the toolstack has removed
// all nodes of the domain: new ones would outlive it.
void Guest::offer() {
  phase_ = Phase::kOffered;
  due_ms_ = kNever;
  binding_until_ms_ = 0;
  XenStore& store = *world_.platform.store;
  const std::string guard = domain_path(identity_.domid) + "/name";
  Result<void> made =
      store.write_while(guard, {{backend_ + "/state", text_of(BusState::kInitWait)}});
  const auto state = store.look(frontend_ + "/state");
  if (made && state && !*state)
    made = store.write_while(guard, {frontend_, {identity_.domid, kOurDomain}},
                             {{frontend_ + "/backend", backend_},
                              {frontend_ + "/backend-id", number_of(kOurDomain)},
                              {frontend_ + "/state", text_of(BusState::kInitialising)}});
  if (made) return;
  if (made.error().code != Errc::kNotFound)
    world_.options.log(title() + ": " + made.error().message);
  phase_ = Phase::kClosed;
  due_ms_ = now_ms() + kStorePauseMs;
}

void Guest::look() {
  const auto state = read_state(frontend_);
  if (state) {
    if (std::exchange(store_fails_, false)) due_ms_ = kNever;
    return follow(*state);
  }
  look_again(state.error());
}

// xenstore's fault, not the guest's: all stays as it is.
void Guest::look_again(const Error& error) {
  if (!std::exchange(store_fails_, true)) world_.options.log(title() + ": " + error.message);
  due_ms_ = now_ms() + kStorePauseMs;
}

void Guest::follow(BusState state) {
  switch (phase_) {
    case Phase::kTakingOver:
      if (state == BusState::kInitialised || state == BusState::kConnected) return try_connect();
      return hang_up(state);
    case Phase::kOffered:
      if (state == BusState::kInitialised && !(evacuating_ && is_away())) return try_connect();
      if (state == BusState::kConnected)
        return refuse({Errc::kMalformed, "the frontend went to state 4 before the backend"});
      if (state != BusState::kInitialised && !may_leave_to(state)) return hang_up(state);
      due_ms_ = kNever;
      return;
    case Phase::kConnected:
      if (state == BusState::kInitialised || state == BusState::kConnected) return;
      return hang_up(state);
    case Phase::kClosed:
      return look_when_closed(state);
  }
}

void Guest::look_when_closed(BusState state) {
  due_ms_ = kNever;
  const bool released =
      state == BusState::kInitialising || state == BusState::kClosed || state == BusState::kNone;
  if (!released) return;
  if (now_ms() >= closed_until_ms_)
    offer();
  else
    due_ms_ = closed_until_ms_;
}

void Guest::try_connect() {
  const bool taking_over = phase_ == Phase::kTakingOver;
  const auto offer = read_offer(*world_.platform.store, frontend_, world_.options.limits);
  if (!offer && offer.error().code == Errc::kOs) return look_again(offer.error());
  const auto done = offer.and_then([this](const Offer& read) { return connect(read); });
  if (done) return connected();
  if (done.error().code == Errc::kConflict) {
    if (binding_until_ms_ == 0) binding_until_ms_ = now_ms() + kBindPatienceMs;
    if (now_ms() < binding_until_ms_) {
      due_ms_ = now_ms() + (client_ != nullptr ? kBindPauseMs : kClientPauseMs);
      return;
    }
  }
  if (taking_over) ++world_.counters.take_overs_lost;
  refuse(done.error());
}

Result<void> Guest::connect(const Offer& offer) {
  ConnectionOptions options;
  options.guest = identity_.domid;
  options.offer = offer;
  options.taken_over = phase_ == Phase::kTakingOver;
  options.bad_requests_max = world_.options.bad_requests_max;
  options.on_closed = [this, number = connection_number_ + 1](CloseReason reason) {
    world_.options.on_queue_closed(identity_.domid, number, reason);
  };
  TMEM_CHECK(ensure_client());
  TMEM_TRY(connection_,
           Connection::open(options, world_.platform, world_.store, client_, world_.workers));
  return {};
}

Result<void> Guest::ensure_client() {
  if (client_ != nullptr) return {};
  TMEM_TRY(client_, world_.store.add_client(identity_, world_.options.settings_for(identity_)));
  return {};
}

void Guest::connected() {
  const bool taken_over = phase_ == Phase::kTakingOver;
  ++(taken_over ? world_.counters.taken_over : world_.counters.connected);
  phase_ = Phase::kConnected;
  due_ms_ = kNever;
  binding_until_ms_ = 0;
  ++connection_number_;
  connected_at_ms_ = now_ms();
  if (std::exchange(has_error_, false))
    world_.platform.store->remove(error_folder(identity_.domid));
  write_state(BusState::kConnected);
  world_.options.note(title() + (taken_over ? " is served again, " : " is connected, ") +
                      std::to_string(connection_->queues()) + " queues of " +
                      std::to_string(connection_->slots()) + " slots");
}

// As xenbus_dev_error() of Linux does: an errno value and a sentence, for people in domain 0.
void Guest::report(const std::string& why) {
  constexpr const char* kErrno = "22 ";
  has_error_ = true;
  (void)world_.platform.store->write(error_folder(identity_.domid) + "/0/error", kErrno + why);
  world_.options.log(title() + " is refused: " + why);
}

void Guest::refuse(const Error& error) {
  ++world_.counters.refused;
  report(error.message);
  close_backend();
  look();
}

// The frontend left its part of the handshake: as it may at any time, or to where there is no way.
void Guest::hang_up(BusState state) {
  const std::string why = state == BusState::kNone ? "the frontend's state is gone, or no number"
                                                   : "the frontend went to state " + text_of(state);
  if (connection_ != nullptr) ++world_.counters.hung_up;
  if (!may_leave_to(state))
    report(why);
  else if (connection_ != nullptr)
    world_.options.note(title() + " is disconnected: " + why);
  close_backend();
  look();
}

void Guest::misbehaved(uint64_t connection, CloseReason reason) {
  if (connection_ == nullptr || connection != connection_number_) return;
  ++world_.counters.misbehaved[static_cast<size_t>(reason)];
  report(std::string(to_string(reason)));
  close_backend();
  look();
}

void Guest::disconnect() {
  if (connection_ != nullptr) ++world_.counters.administrator;
  close_backend();
  drop_client();
  look();
}

void Guest::set_evacuating(bool on) {
  if (const auto done = world_.platform.store->write(backend_ + "/evacuate", on ? "1" : "0"); !done)
    return world_.options.log(title() + ": " + done.error().message);
  evacuating_ = on;
  // The frontend looks when the state is written.
  if (phase_ == Phase::kConnected) return write_state(BusState::kConnected);
  // It may wait to be connected.
  look();
}

bool Guest::exceeds_guarantee() const {
  if (client_ == nullptr) return false;
  constexpr auto kPersistent = static_cast<size_t>(store::Kind::kPersistent);
  const store::ClientStats stats = world_.store.client_stats(*client_);
  return stats.charged_bytes[kPersistent] > stats.settings.guarantee_bytes;
}

void Guest::set_write_back(uint32_t kib_s) {
  if (kib_s == write_back_kib_s_) return;
  const auto done = world_.platform.store->write(backend_ + "/write-back", std::to_string(kib_s));
  if (!done) return world_.options.log(title() + ": " + done.error().message);
  write_back_kib_s_ = kib_s;
  if (phase_ == Phase::kConnected) write_state(BusState::kConnected);
}

// Without a connection, and nothing in the pool has to wait for one: asked to evacuate, it has done
// so, as long as it is not connected. (It would put pages before it sees what it is asked.)
bool Guest::is_away() const {
  constexpr auto kPersistent = static_cast<size_t>(store::Kind::kPersistent);
  return connection_ == nullptr && client_ != nullptr && phase_ != Phase::kTakingOver &&
         world_.store.client_stats(*client_).pages[kPersistent] == 0;
}

// Unmaps and unbinds, then says so; and sets how long the guest has to wait before it may connect.
void Guest::close_backend() {
  const bool settled = connection_ != nullptr && now_ms() - connected_at_ms_ >= kSettledMs;
  penalty_ms_ = settled ? 0 : std::clamp(2 * penalty_ms_, kPenaltyMinMs, kPenaltyMaxMs);
  closed_until_ms_ = now_ms() + penalty_ms_;
  drop_connection();
  phase_ = Phase::kClosed;
  due_ms_ = kNever;
  binding_until_ms_ = 0;
  write_state(BusState::kClosing);
  write_state(BusState::kClosed);
}

// Ephemeral pages go with the connection: the guest may lose flushes that it could not send.
void Guest::drop_connection() {
  if (connection_ == nullptr) return;
  world_.counters.totals += connection_->totals();
  connection_.reset();
  for (const store::PoolStats& pool : world_.store.client_stats(*client_).pools)
    if (pool.spec.kind == store::Kind::kEphemeral) (void)world_.store.flush_pool(*client_, pool.id);
}

void Guest::drop_client() {
  if (client_ == nullptr) return;
  world_.store.remove_client(*client_);
  client_.reset();
  if (world_.options.on_client_gone) world_.options.on_client_gone();
}

void Guest::stop() {
  close_backend();
}

void Guest::bury() {
  if (connection_ != nullptr) ++world_.counters.died;
  drop_connection();
  drop_client();
  XenStore& store = *world_.platform.store;
  store.remove(backend_folder(identity_.domid));
  store.remove(error_folder(identity_.domid));
}

GuestInfo Guest::info() const {
  static constexpr std::array<const char*, 4> kNames = {"offered", "taking-over", "connected",
                                                        "closed"};
  GuestInfo info;
  info.domain = identity_.domid;
  info.name = identity_.name;
  info.client = client_ != nullptr ? world_.store.number(*client_) : 0;
  info.state = kNames.at(static_cast<size_t>(phase_));
  info.evacuating = evacuating_;
  info.write_back_kib_s = write_back_kib_s_;
  if (is_away()) return info;  // whatever it said when it was connected
  XenStore& store = *world_.platform.store;
  // In this order: a guest that evacuates has refused new pages before it says so.
  const bool begun = read_number(store, frontend_ + "/evacuating").value_or(0) == 1;
  info.can_migrate =
      read_number(store, frontend_ + "/can-migrate").value_or(1) != 0 && (begun || !evacuating_);
  info.evacuate_error = printable(store.read(frontend_ + "/evacuate-error").value_or(""), 200);
  if (connection_ == nullptr) return info;
  info.queues = connection_->queues();
  info.slots = connection_->slots();
  info.memory_bytes = connection_->memory_bytes();
  info.totals = connection_->totals();
  return info;
}

std::string Guest::title() const {
  return "domain " + number_of(identity_.domid) + " ('" + identity_.name + "')";
}

}  // namespace tmem::transport::xen
