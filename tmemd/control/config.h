// SPDX-License-Identifier: GPL-2.0-or-later
// tmemd's configuration: a TOML file in which every key is optional (docs/configuration.md).
//
// A file with an unknown key, a wrong type or a value out of range is refused as a whole, with
// "file:line: key: reason, what to write instead"; nothing is guessed and nothing half applied.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libtmem/base/result.h"
#include "libtmem/base/units.h"
#include "tmemd/arbiter/settings.h"
#include "tmemd/fallow/head_room.h"
#include "tmemd/store/store.h"
#include "tmemd/store/types.h"

namespace tmem::control {

inline constexpr const char* kDefaultConfigPath = "/etc/tmemd/tmemd.toml";

// [pool], but for its size: where the memory comes from, and what of the host's it leaves free.
struct PoolConfig {
  // kAuto: the pool domain in Xen's domain 0, where that is a PV domain; else the memfd.
  enum class Provider { kAuto, kMemfd, kPoolDomain };
  Provider provider = Provider::kAuto;
  bool has_size = false;  // `memory` was written; without it a pool domain takes what is free
  bool populate = false;  // memfd: commit a slot's memory when it is first needed
  fallow::HeadRoom head_room;
};

struct LoopbackConfig {
  std::string socket_path = "/run/tmemd/loopback.sock";
  unsigned mode = 0660;       // of the socket
  uint32_t clients_max = 64;  // connected at once: 1 .. 4096
  uint32_t queues = 2;        // for a client that asks for none in particular: 1 .. TMEM_QUEUES_MAX
};

struct ControlConfig {
  std::string socket_path = "/run/tmemd/control.sock";
  unsigned mode = 0660;  // of the socket
  std::string group;     // its members may change things, and own the socket; empty: root only
};

// [xen]: the guests of this host, where it is a Xen host.
struct XenConfig {
  enum class Enabled { kAuto, kYes, kNo };  // kAuto: if tmemd runs in Xen's domain 0
  Enabled enabled = Enabled::kAuto;
  // Which guests may use tmem: all, or those of the lists.
  bool all_guests = true;
  std::vector<std::string> guest_names;
  std::vector<Uuid> guest_uuids;
  // What one of them may ask for.
  uint32_t queues_max = 4;
  uint32_t ring_order_max = 4;
  uint32_t slots_max = 1024;  // of a queue
  // What one of them is asked to write to its disk a second while the pool needs it; 0: nothing.
  uint64_t write_back_bytes_s = 8 * kMiB;

  bool admits(const store::ClientIdentity& identity) const;
};

enum class LogLevel { kTrace, kDebug, kInfo, kWarning, kError };

// [[client]]: settings of the client with this uuid, or, when `by_uuid` is false, this name.
struct ClientRule {
  bool by_uuid = false;
  Uuid uuid{};
  std::string name;
  store::ClientSettings settings;  // [defaults] overlaid with what the rule says
  arbiter::GuestRule memory;       // the same of its own memory, where it is a guest of Xen
};

struct Config {
  // [pool] and [store]; store.budget_bytes is [pool] memory.
  store::Options store;
  PoolConfig pool;
  LoopbackConfig loopback;
  XenConfig xen;
  ControlConfig control;
  arbiter::Settings policy;
  // [daemon]
  uint32_t workers = 0;  // 0: min(4, CPUs)
  LogLevel log_level = LogLevel::kInfo;
  // For simulations that must be repeatable: time stands still, and background work waits, until
  // the control verb `step` moves the clock; `seed` replaces the random seed of the store.
  bool manual_clock = false;
  uint64_t seed = 0;  // 0: random
  // [defaults], [[client]], [[shared_pool]]
  store::ClientSettings defaults;
  arbiter::GuestRule memory_defaults;
  std::vector<ClientRule> clients;
  std::vector<store::SharedGrant> shared_grants;

  // The settings of a client that connects: its rule by uuid, else by name, else the defaults.
  const store::ClientSettings& settings_for(const store::ClientIdentity& identity) const;
  // The same of a Xen guest's own memory. Who may not use tmem is left alone, unless told apart.
  arbiter::GuestRule memory_rule_for(const store::ClientIdentity& identity) const;

 private:
  const ClientRule* rule_for(const store::ClientIdentity& identity) const;
};

// Memory that guarantees cannot have: two 2 MiB slots, or 2 % of the budget if that is more.
uint64_t reserve_bytes(uint64_t budget_bytes);

// What the configuration guarantees: to all clients it names, or to one that it does not.
uint64_t guaranteed_bytes(const Config& config);

// Whether a pool of so much memory can keep that, beside the reserve. Errors: kMalformed.
Result<void> check_funds(const Config& config, uint64_t memory_bytes);

// `file_name` stands in messages only. Errors: kMalformed.
Result<Config> parse_config(std::string_view text, std::string_view file_name);

// Errors: kNotFound if there is no such file, kOs if it cannot be read, else as parse_config.
// Files over 1 MiB are refused.
Result<Config> load_config(const std::string& path);

}  // namespace tmem::control
