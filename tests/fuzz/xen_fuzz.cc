// SPDX-License-Identifier: GPL-2.0-or-later
// The Xen transport on a fake host whose guest writes what it likes. The input is a script: keys
// and states (mostly plausible, so that connections come about), grants and ports that come and go,
// domains that die, time, daemons that restart. Checked after each input: once the domain is gone,
// nothing of it is mapped, bound, in xenstore or in the store.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "libtmem/base/assert.h"
#include "libtmem/base/mapping.h"
#include "tests/unit/xen_host.h"
#include "tmemd/memory/memfd.h"
#include "tmemd/transport/xen/guests.h"

namespace tmem::transport::xen {
namespace {

constexpr uint16_t kDomain = 1;
constexpr uint32_t kPages = 40;

class Input {
 public:
  Input(const uint8_t* data, size_t bytes) : data_(data), left_(bytes) {}
  bool empty() const { return left_ == 0; }
  uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

// What outlives an input.
struct Machine {
  Machine() {
    provider = memory::create_memfd_provider({.bytes_max = 16 * kMiB}).value();
    store::Options options;
    options.budget_bytes = 16 * kMiB;
    store = store::Store::create(options, *provider, clock, 1).value();
    workers = Workers::start({.threads = 1, .may_spin = false, .on_no_space = {}}).value();
  }
  ManualClock clock;
  std::unique_ptr<memory::SlotProvider> provider;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<Workers> workers;
};

class Script {
 public:
  Script(Machine& machine, Input& input) : machine_(machine), input_(input) {
    FakeHost::Memory& memory = host_.memory(kDomain);
    memory.fd = UniqueFd(memfd_create("guest", MFD_CLOEXEC));
    TMEM_ASSERT(ftruncate(memory.fd.get(), kPages * kPageBytes) == 0);
    memory_ = Mapping::shared(memory.fd.get(), kPages * kPageBytes).value();
    for (uint32_t page = 0; page < kPages; ++page) memory.grants[page] = {page, true};
    for (uint32_t port = 1; port < 4; ++port) memory.ports[port] = {};
    introduce();
    restart();
  }

  void run() {
    while (!input_.empty()) {
      step();
      handle();
    }
    host_.destroy_domain(kDomain);
    handle();
    guests_.reset();
    TMEM_ASSERT(host_.mapped() == 0);
    TMEM_ASSERT(host_.bound() == 0);
    TMEM_ASSERT(!host_.exists_below(backend_folder(DomId{kDomain})));
    TMEM_ASSERT(!host_.exists_below(error_folder(DomId{kDomain})));
    TMEM_ASSERT(machine_.store->all_client_stats().empty());
    while (machine_.store->maintain(worker_, 64)) {
    }
  }

 private:
  void introduce() {
    host_.write(domain_path(DomId{kDomain}) + "/name", "guest");
    host_.add_domain(kDomain, Uuid{++handles_});
  }
  void restart() {
    guests_.reset();
    GuestOptions options;
    options.admits = [](const store::ClientIdentity&) { return true; };
    options.settings_for = [](const store::ClientIdentity&) { return store::ClientSettings{}; };
    options.log = options.note = [](const std::string&) {};
    world_ = std::make_unique<GuestWorld>(
        GuestWorld{options, platform_, *machine_.store, *machine_.workers, machine_.clock, {}});
    guests_ = std::make_unique<Guests>(*world_);
    TMEM_ASSERT(guests_->begin());
  }
  void handle() {
    for (int i = 0; i < 4; ++i) (void)guests_->handle();
  }

  // A key of the frontend, or a path far from it.
  std::string key() {
    static constexpr std::array<const char*, 14> kKeys = {"state",
                                                          "version",
                                                          "num-queues",
                                                          "ring-order",
                                                          "num-slots",
                                                          "state",
                                                          "can-migrate",
                                                          "evacuating",
                                                          "evacuate-error",
                                                          "feature-credits",
                                                          "queue-0/slot-directory",
                                                          "queue-0/event-channel",
                                                          "queue-0/ring-ref-0",
                                                          "queue-0/ring-ref-1"};
    return frontend_path(DomId{kDomain}) + "/" + kKeys[input_.byte() % kKeys.size()];
  }
  std::string value() {
    const uint8_t kind = input_.byte();
    if (kind < 200) return std::to_string(input_.byte() % 12);
    if (kind < 220) return std::to_string(uint64_t{input_.byte()} << (kind - 200) * 3);
    std::string text;
    for (int i = 0; i < kind - 220; ++i) text += static_cast<char>(input_.byte());
    return text;
  }
  // Keys that are right, if nothing changes them before the daemon looks.
  void good_offer() {
    const std::string folder = frontend_path(DomId{kDomain});
    for (const auto& [name, text] : {std::pair{"/version", "1"},
                                     {"/num-queues", "1"},
                                     {"/ring-order", "1"},
                                     {"/num-slots", "8"},
                                     {"/feature-credits", "1"},
                                     {"/queue-0/ring-ref-0", "0"},
                                     {"/queue-0/ring-ref-1", "1"},
                                     {"/queue-0/slot-directory", "2"},
                                     {"/queue-0/event-channel", "1"}})
      host_.write(folder + name, text);
    auto* const words = reinterpret_cast<uint32_t*>(memory_.bytes().data() + 2 * kPageBytes);
    for (uint32_t i = 0; i < 8; ++i) store_relaxed(words[i], 3 + i);
    for (auto* control = reinterpret_cast<uint32_t*>(memory_.bytes().data());
         control != reinterpret_cast<uint32_t*>(memory_.bytes().data() + 256); ++control)
      store_relaxed(*control, 0u);
    host_.write(folder + "/state", "3");
  }
  void step() {
    auto* const shared = reinterpret_cast<uint32_t*>(memory_.bytes().data());
    switch (input_.byte() % 12) {
      case 0:
      case 1:
      case 2:
        return host_.write(key(), value());
      case 3:
        return host_.remove(key());
      case 4:
        return good_offer();
      case 5:
        return host_.notify_daemon(kDomain, 1 + input_.byte() % 3);
      case 6:  // anything in the control page; sometimes a counter
        return store_release(shared[input_.byte() % 40], uint32_t{input_.byte()});
      case 7:
        machine_.clock.advance_ms(uint64_t{input_.byte()} * 50);
        return;
      case 8: {
        const uint32_t page = input_.byte() % kPages;
        host_.set_grant(kDomain, page, input_.byte() % 3);
        return;
      }
      case 9:
        return host_.set_busy(kDomain, 1 + input_.byte() % 3, input_.byte() % 2 == 1);
      case 10:
        return rare_step(input_.byte());
      default:
        return host_.write(frontend_path(DomId{kDomain}) + "/state",
                           std::to_string(input_.byte() % 8));
    }
  }
  void rare_step(uint8_t what) {
    if (what < 32) return restart();
    if (what < 48) return guests_->stop(), restart();
    if (what < 80) return host_.remove(frontend_path(DomId{kDomain}));
    if (what < 112) return host_.destroy_domain(kDomain), introduce();
    if (what < 128) return host_.remove(domain_path(DomId{kDomain}));
    const std::vector<GuestInfo> infos = guests_->infos();
    Guest* const guest = infos.empty() ? nullptr : guests_->find(infos[0].client);
    if (guest == nullptr) return;
    if (what < 160) return guest->disconnect();
    guest->set_evacuating(what % 2 == 0);
  }

  Machine& machine_;
  Input& input_;
  FakeHost host_;
  Platform platform_ = host_.platform();
  Mapping memory_;
  store::Worker worker_;
  uint8_t handles_ = 0;
  std::unique_ptr<GuestWorld> world_;
  std::unique_ptr<Guests> guests_;
};

}  // namespace
}  // namespace tmem::transport::xen

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static tmem::transport::xen::Machine machine;
  tmem::transport::xen::Input input(data, size);
  tmem::transport::xen::Script(machine, input).run();
  return 0;
}
