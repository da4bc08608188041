// SPDX-License-Identifier: GPL-2.0-or-later
// A Xen host in private memory: xenstore, domains, grants and event channels, as the transport sees
// them and as its guests do. Counts what is mapped and bound.
//
// As on Xen, an event that arrives is masked until it is acknowledged, and a port that was just
// bound is pending at once.
#pragma once
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "libtmem/base/unique_fd.h"
#include "tmemd/transport/xen/nodes.h"
#include "tmemd/transport/xen/platform.h"

namespace tmem::transport::xen {

// Thread safety: all methods from any thread.
class FakeHost {
 public:
  struct GrantedPage {
    uint32_t page = 0;
    bool writable = true;
  };
  struct Port {
    bool busy = false;  // another process has it
    bool bound = false;
    bool masked = false;
    bool pending = false;
    int daemon_fd = -1;         // of the end that is bound
    uint64_t guest_events = 0;  // what the guest was told
    uint64_t daemon_events = 0;
  };
  struct Memory {
    UniqueFd fd;
    std::map<uint32_t, GrantedPage> grants;  // by reference
    std::map<uint32_t, Port> ports;
  };

  // ---- Xenstore ----

  void write(const std::string& path, const std::string& value) {
    const std::lock_guard lock(mutex_);
    write_locked(path, value);
  }
  void remove(const std::string& path) {
    const std::lock_guard lock(mutex_);
    remove_locked(path);
  }
  std::optional<std::string> read(const std::string& path) {
    const std::lock_guard lock(mutex_);
    ++reads;
    const auto found = nodes_.find(path);
    return found == nodes_.end() ? std::nullopt : std::optional(found->second);
  }
  bool exists_below(const std::string& folder) {
    const std::lock_guard lock(mutex_);
    const auto found = nodes_.lower_bound(folder);
    return found != nodes_.end() && found->first.starts_with(folder);
  }
  std::optional<NodeAccess> access(const std::string& path) {
    const std::lock_guard lock(mutex_);
    const auto found = access_.find(path);
    return found == access_.end() ? std::nullopt : std::optional(found->second);
  }
  size_t events_waiting() {
    const std::lock_guard lock(mutex_);
    return events_.size();
  }
  size_t watches() {
    const std::lock_guard lock(mutex_);
    return watches_.size();
  }

  // ---- Domains ----

  void add_domain(uint16_t id, const Uuid& handle) {
    const std::lock_guard lock(mutex_);
    Domain domain;
    domain.id = DomId{id};
    domain.handle = handle;
    domains_.push_back(domain);
    fire_locked("@introduceDomain");
  }
  // Its nodes go, its pages stay while they are mapped.
  void destroy_domain(uint16_t id, bool stays_dying = false) {
    const std::lock_guard lock(mutex_);
    for (Domain& domain : domains_)
      if (domain.id == DomId{id}) domain.dying = true;
    if (!stays_dying) std::erase_if(domains_, [id](const Domain& d) { return d.id == DomId{id}; });
    remove_locked(domain_path(DomId{id}));
    fire_locked("@releaseDomain");
  }
  // Of a domain that was added: whether it runs, and its memory.
  void set_memory(uint16_t id, uint64_t bytes, uint64_t bytes_max, bool runs = true) {
    const std::lock_guard lock(mutex_);
    for (Domain& domain : domains_) {
      if (domain.id != DomId{id}) continue;
      domain.memory_bytes = bytes;
      domain.memory_bytes_max = bytes_max;
      domain.runs = runs;
    }
  }
  void set_hvm(uint16_t id) {
    const std::lock_guard lock(mutex_);
    for (Domain& domain : domains_)
      if (domain.id == DomId{id}) domain.hvm = true;
  }
  std::vector<Domain> domains() {
    const std::lock_guard lock(mutex_);
    return domains_;
  }
  // Of a new domain; what an older one with this number had stays, as the daemon may still use it.
  Memory& new_memory(uint16_t id) {
    const std::lock_guard lock(mutex_);
    old_memories_.push_back(std::move(memories_[id]));
    return memories_[id] = {};
  }
  Memory& memory(uint16_t id) {
    const std::lock_guard lock(mutex_);
    return memories_[id];
  }

  // ---- What the daemon holds ----

  size_t mapped() const { return mapped_.load(); }
  size_t bound() const { return bound_.load(); }

  // The guest notifies the daemon.
  void notify_daemon(uint16_t id, uint32_t number) {
    const std::lock_guard lock(mutex_);
    Port& port = memories_[id].ports[number];
    if (port.bound) arrive_locked(port);
  }
  uint64_t guest_events(uint16_t id, uint32_t number) {
    const std::lock_guard lock(mutex_);
    return memories_[id].ports[number].guest_events;
  }
  uint64_t daemon_events(uint16_t id, uint32_t number) {
    const std::lock_guard lock(mutex_);
    return memories_[id].ports[number].daemon_events;
  }
  // 0: not granted; 1: to be read; 2: to be written.
  void set_grant(uint16_t id, uint32_t page, unsigned access) {
    const std::lock_guard lock(mutex_);
    auto& grants = memories_[id].grants;
    grants.erase(page);
    if (access != 0) grants[page] = {page, access == 2};
  }
  void set_busy(uint16_t id, uint32_t number, bool busy) {
    const std::lock_guard lock(mutex_);
    memories_[id].ports[number].busy = busy;
  }

  Platform platform();

  std::atomic<uint64_t> reads{0};
  std::optional<std::string> unreadable;  // for the daemon: what contains this

 private:
  friend class FakeStore;
  friend class FakeMapping;
  friend class FakePort;
  friend class FakeEvents;
  friend class FakeGrants;

  static void arrive_locked(Port& port) {
    if (port.masked) {
      port.pending = true;
      return;
    }
    port.masked = true;
    ++port.daemon_events;
    (void)eventfd_write(port.daemon_fd, 1);
  }
  void write_locked(const std::string& path, const std::string& value) {
    nodes_[path] = value;
    fire_locked(path);
  }
  void remove_locked(const std::string& path) {
    std::vector<std::string> gone;
    for (const auto& [name, value] : nodes_)
      if (name == path || name.starts_with(path + "/")) gone.push_back(name);
    for (const std::string& name : gone) {
      nodes_.erase(name);
      access_.erase(name);
      fire_locked(name);
    }
  }
  void fire_locked(const std::string& path) {
    for (const auto& [watched, token] : watches_) {
      if (path != watched && !path.starts_with(watched + "/")) continue;
      events_.push_back({path, token});
      (void)eventfd_write(event_fd_.get(), 1);
    }
  }

  std::mutex mutex_;
  std::map<std::string, std::string> nodes_;
  std::map<std::string, NodeAccess> access_;
  std::vector<std::pair<std::string, std::string>> watches_;
  std::deque<WatchEvent> events_;
  UniqueFd event_fd_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::vector<Domain> domains_;
  std::map<uint16_t, Memory> memories_;
  std::deque<Memory> old_memories_;
  std::atomic<size_t> mapped_{0};
  std::atomic<size_t> bound_{0};
};

class FakeStore final : public XenStore {
 public:
  explicit FakeStore(FakeHost& host) : host_(host) {}
  Result<std::optional<std::string>> look(const std::string& path) override {
    if (host_.unreadable && path.find(*host_.unreadable) != std::string::npos)
      return fail(Errc::kOs, "cannot read " + path + " in xenstore");
    return host_.read(path);
  }
  std::vector<std::string> list(const std::string& path) override {
    const std::lock_guard lock(host_.mutex_);
    std::vector<std::string> names;
    for (const auto& [name, value] : host_.nodes_) {
      if (!name.starts_with(path + "/")) continue;
      const std::string rest = name.substr(path.size() + 1);
      const std::string child = rest.substr(0, rest.find('/'));
      if (names.empty() || names.back() != child) names.push_back(child);
    }
    return names;
  }
  Result<void> write(const std::string& path, const std::string& value) override {
    host_.write(path, value);
    return {};
  }
  Result<void> write_all(const Nodes& nodes) override {
    const std::lock_guard lock(host_.mutex_);
    for (const auto& [path, value] : nodes) host_.write_locked(path, value);
    return {};
  }
  Result<void> write_while(const std::string& guard, const Nodes& nodes) override {
    if (!host_.read(guard)) return fail(Errc::kNotFound, "there is no " + guard);
    return write_all(nodes);
  }
  Result<void> write_while(const std::string& guard, const Folder& folder,
                           const Nodes& nodes) override {
    if (!host_.read(guard)) return fail(Errc::kNotFound, "there is no " + guard);
    TMEM_CHECK(make(folder.path, folder.access));
    return write_all(nodes);
  }
  Result<void> make(const std::string& path, const NodeAccess& access) override {
    const std::lock_guard lock(host_.mutex_);
    host_.access_[path] = access;
    if (!host_.nodes_.contains(path)) host_.write_locked(path, "");
    return {};
  }
  void remove(const std::string& path) override { host_.remove(path); }
  Result<void> watch(const std::string& path, const std::string& token) override {
    const std::lock_guard lock(host_.mutex_);
    host_.watches_.emplace_back(path, token);
    host_.events_.push_back({path, token});  // each watch fires once when it is set
    (void)eventfd_write(host_.event_fd_.get(), 1);
    return {};
  }
  void unwatch(const std::string& path, const std::string& token) override {
    const std::lock_guard lock(host_.mutex_);
    std::erase(host_.watches_, std::pair(path, token));
  }
  int event_fd() const override { return host_.event_fd_.get(); }
  std::optional<WatchEvent> next_event() override {
    const std::lock_guard lock(host_.mutex_);
    if (host_.events_.empty()) {
      eventfd_t ignored = 0;
      (void)eventfd_read(host_.event_fd_.get(), &ignored);
      return std::nullopt;
    }
    WatchEvent event = host_.events_.front();
    host_.events_.pop_front();
    return event;
  }

 private:
  FakeHost& host_;
};

class FakeMapping final : public GrantMapping {
 public:
  FakeMapping(FakeHost& host, std::byte* base, size_t pages)
      : host_(host), base_(base), pages_(pages) {
    ++host_.mapped_;
  }
  FakeMapping(const FakeMapping&) = delete;
  FakeMapping& operator=(const FakeMapping&) = delete;
  ~FakeMapping() override {
    if (notice_port_ != nullptr) {
      std::memset(base_ + notice_offset_, 0, 1);
      const std::lock_guard lock(host_.mutex_);
      ++notice_port_->guest_events;
    }
    (void)munmap(base_, pages_ * kPageBytes);
    --host_.mapped_;
  }
  std::span<std::byte> bytes() const override { return {base_, pages_ * kPageBytes}; }
  void set_notice(FakeHost::Port* port, size_t offset_bytes) {
    notice_port_ = port;
    notice_offset_ = offset_bytes;
  }

 private:
  FakeHost& host_;
  std::byte* const base_;
  const size_t pages_;
  FakeHost::Port* notice_port_ = nullptr;
  size_t notice_offset_ = 0;
};

class FakeGrants final : public GrantMapper {
 public:
  explicit FakeGrants(FakeHost& host) : host_(host) {}
  Result<std::unique_ptr<GrantMapping>> map(DomId guest, std::span<const uint32_t> refs,
                                            GrantAccess access) override {
    TMEM_TRY(auto mapping, map_pages(guest, refs, access));
    return std::unique_ptr<GrantMapping>(std::move(mapping));
  }
  Result<std::unique_ptr<GrantMapping>> map_with_notice(DomId guest, uint32_t ref,
                                                        const UnmapNotice& notice) override {
    TMEM_TRY(auto mapping, map_pages(guest, std::span(&ref, 1), GrantAccess::kWrite));
    const std::lock_guard lock(host_.mutex_);
    FakeHost::Memory& memory = host_.memories_[static_cast<uint16_t>(guest)];
    for (auto& [number, port] : memory.ports)
      if (port.bound && number + kLocalPorts == notice.local_port)
        mapping->set_notice(&port, notice.offset_bytes);
    return std::unique_ptr<GrantMapping>(std::move(mapping));
  }

  static constexpr uint32_t kLocalPorts = 500;  // the daemon's numbers are others than the guest's

 private:
  Result<std::unique_ptr<FakeMapping>> map_pages(DomId guest, std::span<const uint32_t> refs,
                                                 GrantAccess access) {
    const std::lock_guard lock(host_.mutex_);
    const FakeHost::Memory& memory = host_.memories_[static_cast<uint16_t>(guest)];
    void* const base =
        mmap(nullptr, refs.size() * kPageBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return fail_os("cannot reserve");
    auto mapping = std::make_unique<FakeMapping>(host_, static_cast<std::byte*>(base), refs.size());
    for (size_t i = 0; i < refs.size(); ++i) {
      const auto found = memory.grants.find(refs[i]);
      const bool good =
          found != memory.grants.end() && (found->second.writable || access == GrantAccess::kRead);
      if (!good) return fail_os("cannot map " + std::to_string(refs.size()) + " pages", EINVAL);
      const int protection = access == GrantAccess::kWrite ? PROT_READ | PROT_WRITE : PROT_READ;
      if (mmap(mapping->bytes().data() + i * kPageBytes, kPageBytes, protection,
               MAP_SHARED | MAP_FIXED, memory.fd.get(),
               static_cast<off_t>(found->second.page * kPageBytes)) == MAP_FAILED)
        return fail_os("cannot map");
    }
    return mapping;
  }

  FakeHost& host_;
};

class FakePort final : public EventPort {
 public:
  FakePort(FakeHost& host, FakeHost::Port& port, uint32_t number)
      : host_(host), port_(port), number_(number), event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    ++host_.bound_;
    port_.bound = true;
    port_.masked = port_.pending = false;
    port_.daemon_fd = event_.get();
    FakeHost::arrive_locked(port_);
  }
  FakePort(const FakePort&) = delete;
  FakePort& operator=(const FakePort&) = delete;
  ~FakePort() override {
    const std::lock_guard lock(host_.mutex_);
    port_.bound = false;
    port_.daemon_fd = -1;
    --host_.bound_;
  }
  int fd() const override { return event_.get(); }
  uint32_t local_port() const override { return number_ + FakeGrants::kLocalPorts; }
  void ring() override {
    const std::lock_guard lock(host_.mutex_);
    ++port_.guest_events;
  }
  void acknowledge() override {
    const std::lock_guard lock(host_.mutex_);
    eventfd_t ignored = 0;
    (void)eventfd_read(event_.get(), &ignored);
    port_.masked = false;
    if (std::exchange(port_.pending, false)) FakeHost::arrive_locked(port_);
  }

 private:
  FakeHost& host_;
  FakeHost::Port& port_;
  const uint32_t number_;
  const UniqueFd event_;
};

class FakeEvents final : public EventChannels {
 public:
  explicit FakeEvents(FakeHost& host) : host_(host) {}
  Result<std::unique_ptr<EventPort>> bind(DomId guest, uint32_t remote_port) override {
    const std::lock_guard lock(host_.mutex_);
    auto& ports = host_.memories_[static_cast<uint16_t>(guest)].ports;
    const auto found = ports.find(remote_port);
    if (found == ports.end() || found->second.busy || found->second.bound)
      return fail(Errc::kConflict, "event channel " + std::to_string(remote_port) + " is not free");
    return std::make_unique<FakePort>(host_, found->second, remote_port);
  }

 private:
  FakeHost& host_;
};

class FakeDomains final : public Domains {
 public:
  explicit FakeDomains(FakeHost& host) : host_(host) {}
  Result<std::vector<Domain>> list() override { return host_.domains(); }

 private:
  FakeHost& host_;
};

inline Platform FakeHost::platform() {
  Platform platform;
  platform.store = std::make_unique<FakeStore>(*this);
  platform.grants = std::make_unique<FakeGrants>(*this);
  platform.events = std::make_unique<FakeEvents>(*this);
  platform.domains = std::make_unique<FakeDomains>(*this);
  return platform;
}

}  // namespace tmem::transport::xen
