// SPDX-License-Identifier: GPL-2.0-or-later
// What the Xen transport needs of Xen, without Xen's headers: native.cc has the real thing, tests
// have fakes.
//
// Whatever comes from a guest's part of xenstore is text that the guest wrote.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "libtmem/base/result.h"
#include "libtmem/base/units.h"
#include "tmemd/transport/queue.h"

namespace tmem::transport::xen {

// A node's owner may do everything with it; `reader` may read it.
struct NodeAccess {
  DomId owner{};
  DomId reader{};
};

struct WatchEvent {
  std::string path;
  std::string token;
};

// Xenstore, from domain 0. Not thread-safe. Paths are absolute.
class XenStore {
 public:
  virtual ~XenStore() = default;

  // Nothing when there is no such node. Errors: kOs, it cannot be read.
  virtual Result<std::optional<std::string>> look(const std::string& path) = 0;
  // Nothing in both cases.
  std::optional<std::string> read(const std::string& path) {
    return look(path).value_or(std::nullopt);
  }
  // Names of the children; none when there is no such node.
  virtual std::vector<std::string> list(const std::string& path) = 0;
  virtual Result<void> write(const std::string& path, const std::string& value) = 0;
  // All nodes or none. Parents that do not exist are made.
  using Nodes = std::vector<std::pair<std::string, std::string>>;
  virtual Result<void> write_all(const Nodes& nodes) = 0;
  // The same, if the node `guard` is there: else kNotFound, and nothing is written. A domain's
  // nodes go with it; a plain write would make them anew.
  virtual Result<void> write_while(const std::string& guard, const Nodes& nodes) = 0;
  struct Folder {
    std::string path;
    NodeAccess access;
  };
  // The same, after the folder was made; `nodes` lie in it.
  virtual Result<void> write_while(const std::string& guard, const Folder& folder,
                                   const Nodes& nodes) = 0;
  // The node, made when it is not there, and what will be made below it.
  virtual Result<void> make(const std::string& path, const NodeAccess& access) = 0;
  virtual void remove(const std::string& path) = 0;  // with all below it

  virtual Result<void> watch(const std::string& path, const std::string& token) = 0;
  virtual void unwatch(const std::string& path, const std::string& token) = 0;
  // Readable while next_event() has something.
  virtual int event_fd() const = 0;
  virtual std::optional<WatchEvent> next_event() = 0;  // never blocks
};

// Pages of a guest, mapped one behind the other; unmapped by the destructor.
class GrantMapping {
 public:
  virtual ~GrantMapping() = default;
  virtual std::span<std::byte> bytes() const = 0;
};

enum class GrantAccess { kRead, kWrite };

// When the mapping ends, whatever way (the process's death too), the kernel clears this byte and
// notifies the guest.
struct UnmapNotice {
  size_t offset_bytes = 0;
  uint32_t local_port = 0;
};

// Thread safety: mappings may be destroyed by any thread, one at a time.
class GrantMapper {
 public:
  virtual ~GrantMapper() = default;
  // All pages or none. Errors: kOs.
  virtual Result<std::unique_ptr<GrantMapping>> map(DomId guest, std::span<const uint32_t> refs,
                                                    GrantAccess access) = 0;
  virtual Result<std::unique_ptr<GrantMapping>> map_with_notice(DomId guest, uint32_t ref,
                                                                const UnmapNotice& notice) = 0;
};

// One end of an event channel, unbound by the destructor.
class EventPort : public Doorbell {
 public:
  // Becomes readable when the guest notifies, at most once between two calls of acknowledge().
  virtual int fd() const = 0;
  virtual uint32_t local_port() const = 0;
};

class EventChannels {
 public:
  virtual ~EventChannels() = default;
  // Errors: kConflict when the port is not free to bind (now), kOs.
  virtual Result<std::unique_ptr<EventPort>> bind(DomId guest, uint32_t remote_port) = 0;
};

struct Domain {
  DomId id{};
  Uuid handle{};
  bool dying = false;
  bool hvm = false;               // it may have emulated devices
  bool runs = true;               // not paused (as while it is built), shut down or dying
  uint64_t memory_bytes = 0;      // that it has
  uint64_t memory_bytes_max = 0;  // that Xen lets it have
};

class Domains {
 public:
  virtual ~Domains() = default;
  // All guests, as Xen says.
  virtual Result<std::vector<Domain>> list() = 0;
};

struct Platform {
  std::unique_ptr<XenStore> store;
  std::unique_ptr<GrantMapper> grants;
  std::unique_ptr<EventChannels> events;
  std::unique_ptr<Domains> domains;
};

}  // namespace tmem::transport::xen
