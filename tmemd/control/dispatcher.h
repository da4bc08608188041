// SPDX-License-Identifier: GPL-2.0-or-later
// Answers requests of the control protocol: one line in, one line out. Knows no socket.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "libtmem/base/clock.h"
#include "libtmem/base/result.h"
#include "tmemd/control/args.h"
#include "tmemd/control/rate_limited_log.h"
#include "tmemd/control/server.h"
#include "tmemd/store/store.h"

namespace tmem::control {

// Raised when an answer loses a key or changes its meaning; new keys and verbs do not count.
inline constexpr int kProtocolVersion = 1;

// Who asks. `may_change`: root, the daemon's user, or a member of the configured group.
struct Peer {
  uint32_t uid = 0;
  int32_t pid = 0;
  bool may_change = false;
};

// Not thread-safe: used by the server's thread.
class Dispatcher {
 public:
  // `store`, `clock` and `counters` must outlive the dispatcher.
  Dispatcher(store::Store& store, const Clock& clock, Hooks hooks, ServerCounters& counters);

  // The answer to one request, ending in a newline. Never fails, never throws.
  std::string answer(std::string_view line, const Peer& peer);
  // What the server says on its own: an answer with "id": null.
  static std::string refusal(std::string_view code, std::string_view message);

  RateLimitedLog& log() { return log_; }

 private:
  using Json = nlohmann::json;
  using Verb = Result<Json> (Dispatcher::*)(Args& args);
  struct VerbEntry {
    std::string_view name;
    bool changes;  // needs Peer::may_change
    Verb run;
  };
  static const std::vector<VerbEntry>& verbs();

  Json run(std::string_view line, const Peer& peer);
  Json run_verb(const VerbEntry& verb, const Json& args, const Peer& peer);

  Result<Json> version(Args& args);
  Result<Json> info(Args& args);
  Result<Json> list(Args& args);
  Result<Json> stats(Args& args);
  Result<Json> freeable(Args& args);
  Result<Json> set(Args& args);
  Result<Json> freeze(Args& args);
  Result<Json> thaw(Args& args);
  Result<Json> flush(Args& args);
  Result<Json> destroy(Args& args);
  Result<Json> evacuate(Args& args);
  Result<Json> shared_list(Args& args);
  Result<Json> shared_auth(Args& args);
  Result<Json> shutdown(Args& args);
  Result<Json> set_memory(Args& args);
  Result<Json> make_room(Args& args);
  Result<Json> policy(Args& args);
  Result<Json> policy_set(Args& args);
  Result<Json> why(Args& args);
  Result<Json> step(Args& args);

  // What the hook says of the host's memory; null where there is no hook.
  Json memory() const;
  Result<Json> set_frozen(Args& args, bool frozen);
  // The clients that args.client or args.all names; shared pools only by number or uuid. Finishes
  // `args`.
  Result<std::vector<store::ClientStats>> targets(Args& args);
  // The live client that `value` (number, uuid or name) names.
  Result<store::ClientStats> find(const Json& value) const;
  template <class Change>
  Result<Json> configure(const std::vector<store::ClientStats>& clients, const Change& change);

  store::Store& store_;
  const Clock& clock_;
  Hooks hooks_;
  ServerCounters& counters_;
  RateLimitedLog log_;
  store::Worker worker_;
  const uint64_t started_ms_;
};

}  // namespace tmem::control
