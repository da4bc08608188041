// SPDX-License-Identifier: GPL-2.0-or-later
// Bytes -> what one peer of the control socket writes. The first byte says whether it may change
// things, the second in what pieces the bytes arrive. Every answer must be one line of JSON that
// says ok or error, and the store must stay whole.
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "libtmem/base/assert.h"
#include "libtmem/base/clock.h"
#include "tmemd/control/dispatcher.h"
#include "tmemd/control/session.h"
#include "tmemd/memory/memfd.h"

namespace {

using namespace tmem;

constexpr uint64_t kBudgetBytes = 8 * kMiB;
// Small, so that the fuzzer reaches it.
constexpr size_t kLineBytesMax = 1024;

struct World {
  ManualClock clock;
  std::unique_ptr<memory::SlotProvider> provider =
      memory::create_memfd_provider({kBudgetBytes, false}).value();
  std::unique_ptr<store::Store> store = make_store();
  store::Worker worker;
  uint64_t runs = 0;

  std::unique_ptr<store::Store> make_store() {
    store::Options options;
    options.budget_bytes = kBudgetBytes;
    return store::Store::create(options, *provider, clock, 1).value();
  }

  // What the input before may have changed.
  void restore() {
    clock.advance_ms(1000);
    while (store->maintain(worker, 64)) continue;
    (void)store->set_budget(kBudgetBytes);
    for (const store::SharedGrant& grant : store->shared_grants())
      store->authorise_shared(grant, false);
    for (const store::ClientStats& client : store->all_client_stats())
      if (const auto ref = store->find_client(client.number)) store->remove_client(*ref);
    add_client("alpha", 1);
    add_client("beta", 2);
    if (++runs % 1024 == 0) TMEM_ASSERT(!store->check_invariants());
  }

  void add_client(const char* name, uint8_t id) {
    const auto client = store->add_client({Uuid{id}, DomId{id}, name}, {});
    TMEM_ASSERT(client.has_value());
    const store::PoolSpec spec{store::Kind::kPersistent, false, {}};
    TMEM_ASSERT(store->create_pool(**client, PoolId{0}, spec) == store::Status::kOk);
    std::array<std::byte, kPageBytes> page{};
    page[id] = std::byte{1};
    TMEM_ASSERT(store->put(worker, **client, {PoolId{0}, {}, 0}, page) == store::Status::kOk);
  }
};

void check_answer(std::string_view answer) {
  TMEM_ASSERT(!answer.empty() && answer.find('\n') == answer.size() - 1);
  const auto parsed = nlohmann::json::parse(answer, nullptr, false);
  TMEM_ASSERT(parsed.is_object() && parsed.contains("id") && parsed["ok"].is_boolean());
  if (parsed["ok"].get<bool>())
    TMEM_ASSERT(parsed["result"].is_object());
  else
    TMEM_ASSERT(parsed["error"]["code"].is_string() && parsed["error"]["message"].is_string());
}

// Answers as many lines as are complete.
void drain(control::Session& session) {
  while (session.advance()) {
    check_answer(session.output());
    session.output_sent(session.output().size() / 2);
    session.output_sent(session.output().size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  if (size < 2) return 0;
  world.restore();
  control::ServerCounters counters;
  control::Hooks hooks;
  hooks.request_shutdown = [](bool) -> Result<void> { return {}; };
  hooks.memory = [] { return nlohmann::json{{"host", {{"free_bytes", 7}}}, {"room", nullptr}}; };
  hooks.make_room = [](uint64_t bytes, uint64_t hold_ms) -> Result<void> {
    TMEM_ASSERT(bytes >= kMiB && hold_ms > 0 && hold_ms <= 3'600'000);
    if (bytes > kGiB) return fail(Errc::kNoSpace, "1 GiB can be had");
    return {};
  };
  hooks.cancel_room = [] {};
  hooks.policy = [] { return nlohmann::json::object(); };
  hooks.why = [](const std::optional<std::string>& guest) -> Result<nlohmann::json> {
    TMEM_ASSERT(!guest || (!guest->empty() && guest->size() <= 256));
    return nlohmann::json::object();
  };
  hooks.change_policy = [](const arbiter::Change& change) -> Result<nlohmann::json> {
    const bool of_all = change.mode || change.strategy || change.knob;
    TMEM_ASSERT(of_all == change.guest.empty());
    TMEM_ASSERT(of_all || change.reset || !change.rule.empty());
    TMEM_ASSERT(!change.knob || (*change.knob >= 0 && *change.knob <= arbiter::kKnobMax));
    TMEM_ASSERT(change.rule.priority.value_or(0) <= arbiter::kPriorityMax);
    return nlohmann::json::object();
  };
  control::Dispatcher dispatcher(*world.store, world.clock, hooks, counters);
  const control::Peer peer{1000, 1, (data[0] & 1) != 0};
  control::Session session(dispatcher, counters, peer, kLineBytesMax);
  const size_t piece_bytes = data[1] == 0 ? size : data[1];
  std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  while (!rest.empty() && session.room_bytes() != 0) {
    const size_t bytes = std::min({rest.size(), piece_bytes, session.room_bytes()});
    session.receive(rest.substr(0, bytes));
    rest.remove_prefix(bytes);
    drain(session);
  }
  session.receive_end();
  drain(session);
  TMEM_ASSERT(session.finished() && !session.mid_request());
  return 0;
}
