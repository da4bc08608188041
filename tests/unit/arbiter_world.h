// SPDX-License-Identifier: GPL-2.0-or-later
// A Xen host with guests whose balloons and agents are simulated, a real store, and the arbiter,
// driven by hand: one step is a second.
#pragma once
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "policy/report.h"
#include "tests/unit/store_world.h"
#include "tests/unit/xen_host.h"
#include "tmem/text.hpp"
#include "tmemd/arbiter/arbiter.h"

namespace tmem::arbiter {

// FakeHost's xenstore, which can fail, or have something happen just before a write.
class FaultyStore final : public transport::xen::XenStore {
 public:
  struct Faults {
    bool writes_fail = false;
    bool reads_fail = false;
    std::function<void()> before_write;
    std::function<void()> before_read;
    uint64_t writes = 0;
  };
  FaultyStore(transport::xen::FakeHost& host, Faults& faults) : store_(host), faults_(faults) {}

  Result<std::optional<std::string>> look(const std::string& path) override {
    if (faults_.before_read) faults_.before_read();
    if (faults_.reads_fail) return fail(Errc::kOs, "xenstored has gone");
    return store_.look(path);
  }
  std::vector<std::string> list(const std::string& path) override { return store_.list(path); }
  Result<void> write(const std::string& path, const std::string& value) override {
    return write_all({{path, value}});
  }
  Result<void> write_all(const Nodes& nodes) override {
    TMEM_CHECK(fault());
    return store_.write_all(nodes);
  }
  Result<void> write_while(const std::string& guard, const Nodes& nodes) override {
    TMEM_CHECK(fault());
    return store_.write_while(guard, nodes);
  }
  Result<void> write_while(const std::string& guard, const Folder& folder,
                           const Nodes& nodes) override {
    TMEM_CHECK(fault());
    return store_.write_while(guard, folder, nodes);
  }
  Result<void> make(const std::string& path, const transport::xen::NodeAccess& access) override {
    TMEM_CHECK(fault());
    return store_.make(path, access);
  }
  void remove(const std::string& path) override { store_.remove(path); }
  Result<void> watch(const std::string& path, const std::string& token) override {
    return store_.watch(path, token);
  }
  void unwatch(const std::string& path, const std::string& token) override {
    store_.unwatch(path, token);
  }
  int event_fd() const override { return store_.event_fd(); }
  std::optional<transport::xen::WatchEvent> next_event() override { return store_.next_event(); }

 private:
  Result<void> fault() {
    ++faults_.writes;
    if (faults_.before_write) faults_.before_write();
    if (faults_.writes_fail) return fail(Errc::kOs, "xenstored is out of quota");
    return {};
  }

  transport::xen::FakeStore store_;
  Faults& faults_;
};

// What runs in a guest. Its own memory use is what a test sets.
struct SimulatedGuest {
  uint64_t actual_mib = 0;
  uint64_t max_mib = 0;
  uint64_t used_mib = 64;
  uint64_t balloon_mib_per_s = 256;  // 0: the driver is stuck
  uint64_t grabs_mib = 0;            // not 0: it takes that much, whatever it is told
  std::optional<uint64_t> swap_free_mib;
  bool has_agent = true;
  bool obeys_mode = true;  // its agent knows guest mode
  // State of the agent.
  uint64_t sequence = 0;
  uint64_t some_us = 0;  // PSI
  uint64_t swap_in_pages = 0;
  uint64_t urgent = 0;
  bool balloons_itself = false;
};

// No object of this struct moves.
struct ArbiterWorld {
  explicit ArbiterWorld(Settings settings = in_host_mode(), uint64_t host_mib = 2048)
      : host_bytes(host_mib * kMiB) {
    settings.log_path.clear();
    begin(settings);
  }
  ArbiterWorld(const ArbiterWorld&) = delete;
  ArbiterWorld& operator=(const ArbiterWorld&) = delete;

  static Settings in_host_mode() {
    Settings settings;
    settings.mode = Mode::kHost;
    return settings;
  }
  // tmemd starts (again).
  void begin(Settings settings) {
    arbiter.reset();
    World world{.xenstore = std::make_unique<FaultyStore>(host, faults),
                .domains = std::make_unique<transport::xen::FakeDomains>(host),
                .store = *store.store,
                .host = [this]() -> Result<HostShare> { return share(); },
                .on_surplus = [this](uint64_t bytes) { surplus_bytes = bytes; },
                .rival = [this] { return rival; },
                .rule_for = [this](const store::ClientIdentity& id) { return rules[id.name]; },
                .pool_weight_for = [](const store::ClientIdentity&) { return 100u; },
                .log = [this](const std::string& line) { log.push_back(line); },
                .note = [this](const std::string& line) { log.push_back("usual: " + line); }};
    auto created = Arbiter::create(std::move(settings), std::move(world));
    REQUIRE(created);
    arbiter = *std::move(created);
  }

  static Uuid uuid_of(uint16_t id) { return Uuid{static_cast<uint8_t>(id)}; }
  static std::string path(uint16_t id, const std::string& below) {
    return "/local/domain/" + std::to_string(id) + "/" + below;
  }
  static std::string name(uint16_t id) { return "guest" + std::to_string(id); }

  // As the toolstack makes it: booted with `actual_mib`.
  SimulatedGuest& add_guest(uint16_t id, uint64_t max_mib, uint64_t actual_mib) {
    SimulatedGuest& guest = guests[id];
    guest.max_mib = max_mib;
    guest.actual_mib = actual_mib;
    host.write(path(id, "name"), name(id));
    host.write(path(id, "memory/static-max"), std::to_string(max_mib * 1024));
    host.write(path(id, "memory/target"), std::to_string(actual_mib * 1024));
    host.add_domain(id, uuid_of(id));
    host.set_memory(id, actual_mib * kMiB, max_mib * kMiB + kMiB);
    return guest;
  }
  void kill(uint16_t id) {
    host.destroy_domain(id);
    guests.erase(id);
  }
  // A client of the store, as the module in this guest makes it.
  store::ClientRef connect(uint16_t id) {
    auto client = store.store->add_client({uuid_of(id), DomId{id}, name(id)}, {});
    REQUIRE(client);
    REQUIRE(store.store->create_pool(**client, PoolId{1}, store::kPersistentPool) ==
            store::Status::kOk);
    return *client;
  }

  policy::Sample sample_of(const SimulatedGuest& guest) const {
    policy::Sample sample;
    sample.sequence = guest.sequence;
    sample.uptime_ms = store.clock.now_ms();
    sample.total_bytes = guest.actual_mib * kMiB;
    const uint64_t unused_mib = guest.actual_mib - std::min(guest.actual_mib, guest.used_mib);
    sample.free_bytes = sample.available_bytes = unused_mib * kMiB;
    sample.anon_bytes = std::min(guest.actual_mib, guest.used_mib) * kMiB;
    sample.committed_bytes = guest.used_mib * kMiB;
    sample.swap_used_bytes = (guest.used_mib - std::min(guest.used_mib, guest.actual_mib)) * kMiB;
    if (guest.swap_free_mib) sample.swap_free_bytes = *guest.swap_free_mib * kMiB;
    sample.swap_in_pages = guest.swap_in_pages;
    sample.pressure = policy::Pressure{guest.some_us, 0};
    sample.urgent = guest.urgent;
    sample.balloons_itself = guest.balloons_itself;
    return sample;
  }
  void write_report(uint16_t id, const std::string& text) {
    host.write(path(id, "data/tmem/report"), text);
  }
  void report(uint16_t id) {
    SimulatedGuest& guest = guests.at(id);
    ++guest.sequence;
    write_report(id, policy::format_report(sample_of(guest)));
  }
  void step() {
    store.clock.advance_ms(1'000);
    for (auto& [id, guest] : guests) {
      run_agent(id, guest);
      move_balloon(id, guest);
    }
    (void)arbiter->handle_events(store.clock.now_ms());
    arbiter->turn(store.clock.now_ms());
  }
  void steps(unsigned count) {
    for (unsigned i = 0; i < count; ++i) step();
  }

  uint64_t number_at(uint16_t id, const std::string& below) {
    return parse_number(host.read(path(id, below)).value_or("")).value_or(0);
  }
  uint64_t target_mib(uint16_t id) { return number_at(id, "memory/target") / 1024; }
  uint64_t actual_mib(uint16_t id) { return guests.at(id).actual_mib; }
  nlohmann::json why(uint16_t id) {
    const auto answer = arbiter->look().why(std::to_string(id), store.clock.now_ms());
    REQUIRE(answer);
    return answer->at("guests").at(0);
  }
  nlohmann::json describe() { return arbiter->look().describe(store.clock.now_ms()); }
  bool logged(const std::string& part) const {
    return std::ranges::any_of(
        log, [&](const std::string& line) { return line.find(part) != std::string::npos; });
  }
  uint64_t held_by_guests() {
    uint64_t sum = 0;
    for (const transport::xen::Domain& domain : host.domains()) sum += domain.memory_bytes;
    return sum;
  }
  HostShare share() {
    HostShare result;
    result.has_pool = pool_held_bytes > 0;
    result.pool_held_bytes = pool_held_bytes;
    result.pool_freeable_bytes = pool_freeable_bytes;
    result.head_room_bytes = head_room_bytes;
    const uint64_t taken = held_by_guests() + pool_held_bytes;
    result.free_bytes = host_bytes - std::min(host_bytes, taken);
    result.claims_bytes = claims_bytes;
    return result;
  }

  transport::xen::FakeHost host;
  FaultyStore::Faults faults;
  store::World store;
  uint64_t host_bytes;
  uint64_t head_room_bytes = 64 * kMiB;
  uint64_t claims_bytes = 0;
  uint64_t pool_held_bytes = 0;
  uint64_t pool_freeable_bytes = 0;
  std::string rival;
  uint64_t surplus_bytes = 0;              // as the arbiter told
  std::map<std::string, GuestRule> rules;  // by name
  std::map<uint16_t, SimulatedGuest> guests;
  std::vector<std::string> log;
  std::unique_ptr<Arbiter> arbiter;

 private:
  void run_agent(uint16_t id, SimulatedGuest& guest) {
    if (!guest.has_agent) return;
    // What it uses and has not got is on its swap disk, and it waits for that.
    if (const uint64_t missing_mib = guest.used_mib - std::min(guest.used_mib, guest.actual_mib)) {
      guest.some_us += 300'000;
      guest.swap_in_pages += std::min<uint64_t>(missing_mib * kMiB / kPageBytes, 10'000);
    }
    guest.balloons_itself =
        guest.obeys_mode && host.read(path(id, "tmem/mode")).value_or("") == "guest";
    report(id);
  }
  // Where dom0's target says, or, in guest mode, to what it uses and a fifth more.
  void move_balloon(uint16_t id, SimulatedGuest& guest) {
    uint64_t goal_mib = target_mib(id);
    if (guest.balloons_itself)
      goal_mib = std::clamp(guest.used_mib * 6 / 5, number_at(id, "tmem/min_kib") / 1024,
                            number_at(id, "tmem/max_kib") / 1024);
    if (guest.grabs_mib != 0) goal_mib = guest.grabs_mib;
    const uint64_t free_mib = share().free_bytes / kMiB;
    if (goal_mib > guest.actual_mib)
      guest.actual_mib +=
          std::min({guest.balloon_mib_per_s, goal_mib - guest.actual_mib, free_mib});
    else
      guest.actual_mib -= std::min(guest.balloon_mib_per_s, guest.actual_mib - goal_mib);
    host.set_memory(id, guest.actual_mib * kMiB, guest.max_mib * kMiB + kMiB);
  }
};

}  // namespace tmem::arbiter
