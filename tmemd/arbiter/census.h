// SPDX-License-Identifier: GPL-2.0-or-later
// The guests of the host, as Xen and xenstore have them at one moment.
//
// What the guest itself wrote is its report, and whether it has a balloon driver; everything else
// is the toolstack's. A guest that is dying, or that the toolstack has not described yet, is left
// out; as a rule also who does not run: it is being built, paused or shut down.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tmemd/transport/xen/platform.h"

namespace tmem::arbiter {

struct GuestSight {
  DomId id{};
  Uuid uuid{};  // Xen's handle
  std::string name;
  // Both without the memory of its emulated screen, as memory/target is.
  uint64_t actual_bytes = 0;
  uint64_t ceiling_bytes = 0;            // the toolstack's maximum
  std::optional<uint64_t> target_bytes;  // memory/target
  bool has_balloon = false;              // it says so, or that is usual
  bool denies_balloon = false;           // it says that it has none
  std::string mode;                      // what tmem/mode says; empty: nothing
  uint64_t told_max_bytes = 0;           // what tmem/max_kib says; 0: nothing
  std::optional<std::string> report;     // as the guest wrote it, but for odd bytes
};

std::string target_path(DomId guest);
std::string report_path(DomId guest);
std::string tmem_path(DomId guest);  // what dom0 tells the agent

// Not thread-safe.
class Census {
 public:
  // Both outlive it.
  Census(transport::xen::XenStore& xenstore, transport::xen::Domains& domains)
      : xenstore_(xenstore), domains_(domains) {}

  enum class Of : uint8_t { kRunning, kAll };  // all: also who is paused or shut down
  // In order of id. Errors: Xen or xenstore does not answer.
  Result<std::vector<GuestSight>> take(uint64_t now_ms, Of of);

 private:
  // Read again now and then only.
  struct Description {
    Uuid uuid{};
    uint64_t read_ms = 0;
    std::string name;
    uint64_t static_max_bytes = 0;
    uint64_t video_bytes = 0;
    bool has_balloon = false;
    bool denies_balloon = false;
  };
  // Nothing: the toolstack has not described it.
  Result<std::optional<Description>> describe(const transport::xen::Domain& domain,
                                              uint64_t now_ms) const;
  Result<GuestSight> see(const transport::xen::Domain& domain,
                         const Description& description) const;
  Result<std::optional<uint64_t>> read_kib(const std::string& path) const;

  transport::xen::XenStore& xenstore_;
  transport::xen::Domains& domains_;
  std::map<DomId, Description> described_;
};

}  // namespace tmem::arbiter
