// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon's statistics as the verbs that print them need them. Absent keys read as 0, so that
// an older or newer daemon can be shown too.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tools/tmem/cli.h"

namespace tmem::cli {

struct PoolView {
  uint64_t id = 0;
  bool persistent = false;
  bool shared = false;
  std::string uuid;
  uint64_t pages = 0;
};

struct ClientView {
  uint64_t number = 0;
  uint64_t domid = 0;
  std::string name;
  std::string uuid;
  bool is_shared_pool = false;
  bool frozen = false;
  bool compress = false;
  uint64_t weight = 0;
  bool capped = false;
  uint64_t cap_pages = 0;
  uint64_t guarantee_bytes = 0;
  std::string dedup;
  std::string dedup_group;
  uint64_t pages_ephemeral = 0;
  uint64_t pages_persistent = 0;
  uint64_t charged_bytes = 0;
  uint64_t entitled_bytes = 0;
  // How it is connected; empty where the daemon does not say.
  std::string transport;   // loopback, xen
  std::string connection;  // connected, and for xen offered, taking-over, closed
  bool evacuating = false;
  bool can_migrate = false;
  std::string evacuate_error;
  json counters;  // by their names in docs/control.md
  std::vector<PoolView> pools;

  uint64_t counter(const char* counter_name) const;
  // Number and uuid together: numbers may be used again.
  std::string key() const { return std::to_string(number) + "/" + uuid; }
  // "frozen", "shared", "evacuating" or "ok".
  std::string state() const;
  // The scope, with its group: "group:web".
  std::string dedup_text() const;
};

uint64_t number_at(const json& object, const char* pointer);
std::string text_at(const json& object, const char* pointer);

ClientView view_of(const json& client);
std::vector<ClientView> views_of(const json& clients);

}  // namespace tmem::cli
