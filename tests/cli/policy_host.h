// SPDX-License-Identifier: GPL-2.0-or-later
// The arbiter on a fake Xen host, for the verbs `policy` and `why`: domain 1, "alpha", has an agent
// and more memory than it uses; domain 2, "beta", has none. A second passes with each question.
#pragma once
#include <memory>
#include <string>

#include "policy/report.h"
#include "tests/unit/xen_host.h"
#include "tmemd/arbiter/arbiter.h"
#include "tmemd/arbiter/view.h"
#include "tmemd/control/server.h"

namespace tmem {

class PolicyHost {
 public:
  explicit PolicyHost(store::Store& store) {
    add_guest(1, "alpha");
    add_guest(2, "beta");
    arbiter::Settings settings;
    settings.log_path.clear();
    arbiter::World world{
        .xenstore = std::make_unique<transport::xen::FakeStore>(host_),
        .domains = std::make_unique<transport::xen::FakeDomains>(host_),
        .store = store,
        .host = []() -> Result<arbiter::HostShare> {
          return arbiter::HostShare{.free_bytes = 512 * kMiB, .head_room_bytes = 64 * kMiB};
        },
        .on_surplus = {},
        .rival = {},
        .rule_for = [](const store::ClientIdentity&) { return arbiter::GuestRule{}; },
        .pool_weight_for = [](const store::ClientIdentity&) { return 100u; },
        .log = [](const std::string&) {},
        .note = [](const std::string&) {}};
    arbiter_ = arbiter::Arbiter::create(settings, std::move(world)).value();
    pass_second();
  }

  // Of the control server's thread.
  void add_hooks(control::Hooks& hooks) {
    hooks.policy = [this] {
      pass_second();
      return arbiter_->look().describe(now_ms_);
    };
    hooks.change_policy = [this](const arbiter::Change& change) -> Result<nlohmann::json> {
      TMEM_CHECK(arbiter_->change(change));
      pass_second();
      return arbiter_->look().describe(now_ms_);
    };
    hooks.why = [this](const std::optional<std::string>& guest) {
      pass_second();
      return arbiter_->look().why(guest, now_ms_);
    };
  }

 private:
  static std::string path(uint16_t id, const std::string& below) {
    return "/local/domain/" + std::to_string(id) + "/" + below;
  }
  void add_guest(uint16_t id, const std::string& name) {
    host_.write(path(id, "name"), name);
    host_.write(path(id, "memory/static-max"), "1048576");
    host_.write(path(id, "memory/target"), "524288");
    host_.add_domain(id, Uuid{static_cast<uint8_t>(id)});
    host_.set_memory(id, 512 * kMiB, 1025 * kMiB);
  }
  void pass_second() {
    now_ms_ += 1'000;
    policy::Sample sample;
    sample.sequence = ++sequence_;
    sample.uptime_ms = now_ms_;
    sample.total_bytes = 500 * kMiB;
    sample.available_bytes = 300 * kMiB;
    sample.committed_bytes = 150 * kMiB;
    sample.pressure.emplace();
    host_.write(path(1, "data/tmem/report"), policy::format_report(sample));
    (void)arbiter_->handle_events(now_ms_);
    arbiter_->turn(now_ms_);
  }

  transport::xen::FakeHost host_;
  uint64_t now_ms_ = 0;
  uint64_t sequence_ = 0;
  std::unique_ptr<arbiter::Arbiter> arbiter_;
};

}  // namespace tmem
