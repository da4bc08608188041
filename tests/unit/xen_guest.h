// SPDX-License-Identifier: GPL-2.0-or-later
// A guest of the fake host that speaks the protocol, or breaks it on demand.
#pragma once
#include <optional>
#include <string>

#include "libtmem/base/mapping.h"
#include "libtmem/base/ring_layout.h"
#include "libtmem/base/shared_word.h"
#include "tests/unit/store_world.h"
#include "tests/unit/xen_host.h"
#include "tmem/abi.h"

namespace tmem::transport::xen {

class FakeGuest {
 public:
  static constexpr uint32_t kOrder = 1;
  static constexpr uint32_t kSlots = 8;

  FakeGuest(FakeHost& host, uint16_t id, const std::string& name, uint32_t queues = 2)
      : host_(host), id_(id), uuid_(store::uuid_of(static_cast<uint8_t>(id))), queues_(queues) {
    FakeHost::Memory& memory = host_.new_memory(id_);
    memory.fd = UniqueFd(memfd_create("guest", MFD_CLOEXEC));
    REQUIRE(ftruncate(memory.fd.get(), static_cast<off_t>(bytes())) == 0);
    auto mapped = Mapping::shared(memory.fd.get(), bytes());
    REQUIRE(mapped);
    memory_ = *std::move(mapped);
    host_.write(domain_path(DomId{id_}) + "/name", name);
    host_.add_domain(id_, uuid_);
  }

  // New pages, references, ports and keys, without the state.
  void prepare() {
    const size_t pages = queues_ * kQueuePages;
    std::memset(memory_.bytes().data(), 0, memory_.bytes().size());
    FakeHost::Memory& memory = host_.memory(id_);
    memory.grants.clear();
    generation_ += 10'000;
    for (uint32_t page = 0; page < pages; ++page) memory.grants[ref(page)] = {page, true};
    set("version", "1");
    set("num-queues", std::to_string(queues_));
    set("ring-order", std::to_string(kOrder));
    set("num-slots", std::to_string(kSlots));
    set("feature-credits", "1");
    for (uint32_t queue = 0; queue < queues_; ++queue) prepare_queue(queue);
  }
  void set(const std::string& key, const std::string& value) { host_.write(path(key), value); }
  void unset(const std::string& key) { host_.remove(path(key)); }
  void go(uint32_t state) { set("state", std::to_string(state)); }
  std::string path(const std::string& key) const { return frontend_path(DomId{id_}) + "/" + key; }
  std::string backend(const std::string& key) const {
    return host_.read(backend_path(DomId{id_}) + "/" + key).value_or("");
  }
  // The daemon makes them last, in one step; before, a real guest may not write there.
  bool has_nodes() const { return host_.read(path("state")).has_value(); }
  std::string error() const {
    return host_.read(error_folder(DomId{id_}) + "/0/error").value_or("");
  }

  uint32_t ref_of(uint32_t queue, uint32_t page) const { return ref(queue * kQueuePages + page); }
  uint32_t port(uint32_t queue) const { return generation_ / 1000 + queue + 1; }
  uint32_t* directory(uint32_t queue) {
    return reinterpret_cast<uint32_t*>(page(queue, kQueuePages - 1));
  }
  std::byte* page(uint32_t queue, uint32_t number) {
    return memory_.bytes().data() + (size_t{queue} * kQueuePages + number) * kPageBytes;
  }
  tmem_control_page& control(uint32_t queue = 0) {
    return *reinterpret_cast<tmem_control_page*>(page(queue, 0));
  }
  std::byte* slot(uint32_t queue, uint32_t number) { return page(queue, (1u << kOrder) + number); }

  // A request for queue 0's or its key's queue; its id is its counter.
  uint32_t post(tmem_request wire, uint32_t queue) {
    tmem_control_page& shared = control(queue);
    const uint32_t counter = shared.req_prod;
    wire.id = counter;
    if (wire.epoch == 0) wire.epoch = load_relaxed(shared.store_epoch);
    const RingLayout layout = RingLayout::of(kOrder, kSlots);
    std::memcpy(page(queue, 0) + layout.requests_offset_bytes +
                    (counter & (layout.entries - 1)) * sizeof(wire),
                &wire, sizeof(wire));
    store_release(shared.req_prod, counter + 1);
    host_.notify_daemon(id_, port(queue));
    return counter;
  }
  std::optional<store::Status> answer(uint32_t queue, uint32_t counter) {
    if (static_cast<int32_t>(load_acquire(control(queue).rsp_prod) - counter) <= 0)
      return std::nullopt;
    const RingLayout layout = RingLayout::of(kOrder, kSlots);
    tmem_response response{};
    std::memcpy(&response,
                page(queue, 0) + layout.responses_offset_bytes +
                    (counter & (layout.entries - 1)) * sizeof(response),
                sizeof(response));
    return static_cast<store::Status>(response.status);
  }

  static tmem_request request(uint8_t op, uint32_t pool, uint64_t object, uint32_t slot_number) {
    tmem_request wire{};
    wire.op = op;
    wire.pool = pool;
    wire.u.page.oid[0] = object;
    wire.u.page.slot = slot_number;
    return wire;
  }
  uint32_t queue_of(const tmem_request& wire) const {
    return tmem_queue_of(wire.pool, wire.u.page.oid, queues_);
  }

  uint16_t id() const { return id_; }
  const Uuid& uuid() const { return uuid_; }

 private:
  // Ring pages, slots, directory.
  static constexpr uint32_t kQueuePages = (1u << kOrder) + kSlots + 1;
  size_t bytes() const { return size_t{queues_} * kQueuePages * kPageBytes; }
  uint32_t ref(uint32_t page) const { return generation_ + 3 * page + 8; }

  void prepare_queue(uint32_t queue) {
    const std::string folder = "queue-" + std::to_string(queue) + "/";
    for (uint32_t page = 0; page < 1u << kOrder; ++page)
      set(folder + "ring-ref-" + std::to_string(page), std::to_string(ref_of(queue, page)));
    for (uint32_t i = 0; i < kSlots; ++i) directory(queue)[i] = ref_of(queue, (1u << kOrder) + i);
    set(folder + "slot-directory", std::to_string(ref_of(queue, kQueuePages - 1)));
    set(folder + "event-channel", std::to_string(port(queue)));
    host_.memory(id_).ports[port(queue)] = {};
  }

  FakeHost& host_;
  const uint16_t id_;
  const Uuid uuid_;
  const uint32_t queues_;
  uint32_t generation_ = 0;
  Mapping memory_;
};

}  // namespace tmem::transport::xen
