// SPDX-License-Identifier: GPL-2.0-or-later
// Memory scheduling for the guests of this host: once a period, what Xen, xenstore and the store
// say becomes one target for each guest (policy/loop.h), and where the mode is kHost the targets
// are written.
//
//   census, store, host ─► GuestInput, HostView ─► Loop ─► record ─┬─► decision log, `tmem why`
//                                                                  └─► memory/target, or tmem/mode
//                                                                      and bounds for the agent
//
// Maximum memory stays as the toolstack set it, and no target is above it. Where another program
// sets the guests' balloons, kHost is no more than kAdvise.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "policy/loop.h"
#include "tmemd/arbiter/balloon_progress.h"
#include "tmemd/arbiter/census.h"
#include "tmemd/arbiter/decision_file.h"
#include "tmemd/arbiter/handover.h"
#include "tmemd/arbiter/report_watches.h"
#include "tmemd/arbiter/settings.h"
#include "tmemd/store/store.h"

namespace tmem::arbiter {

// The host's memory beside its guests.
struct HostShare {
  uint64_t free_bytes = 0;    // as Xen counts: claims are part of it
  uint64_t claims_bytes = 0;  // promised to domains that are being built
  uint64_t head_room_bytes = 0;
  uint64_t pool_held_bytes = 0;  // of Xen's memory; 0 where the pool is domain 0's own
  uint64_t pool_freeable_bytes = 0;
};

// What the arbiter works with. The store outlives it; functions must not throw.
struct World {
  std::unique_ptr<transport::xen::XenStore> xenstore;  // a connection of its own
  std::unique_ptr<transport::xen::Domains> domains;
  store::Store& store;
  std::function<Result<HostShare>()> host;
  // Told after each turn how much the guests can be asked to give back; 0 while none is asked.
  std::function<void(uint64_t bytes)> on_surplus;
  // Who else sets the balloons of this host's guests; empty: nobody.
  std::function<std::string()> rival;
  std::function<GuestRule(const store::ClientIdentity&)> rule_for;
  std::function<uint32_t(const store::ClientIdentity&)> pool_weight_for;
  std::function<void(const std::string&)> log;
};

// Not thread-safe.
class Arbiter {
 public:
  // Errors: kNotFound for an unknown strategy, kOs.
  static Result<std::unique_ptr<Arbiter>> create(Settings settings, World world);

  uint32_t period_ms() const { return loop_.period_ms(); }
  // Readable: handle_events() has something to do.
  int event_fd() const { return world_.xenstore->event_fd(); }
  // True: a guest reports that it is short of memory, so a turn is due now.
  bool handle_events(uint64_t now_ms);
  void turn(uint64_t now_ms);

  // Errors: kNotFound and kConflict for the guest's name, kNotFound for the strategy, kMalformed.
  Result<void> change(const Change& change);
  nlohmann::json describe(uint64_t now_ms) const;
  // Of all guests, or one.
  Result<nlohmann::json> why(const std::optional<std::string>& guest, uint64_t now_ms) const;

 private:
  struct Guest {
    GuestSight sight;
    GuestRule rule;
    policy::GuestSettings settings;
    Handover handover;
    BalloonProgress progress;
    uint64_t floor_kib = 0;    // as told to its agent
    uint64_t ceiling_kib = 0;  // as told to its agent
    std::string reason;
    policy::Bound bound = policy::Bound::kNone;
    uint64_t since_ms = 0;  // of reason and bound
    uint64_t targets_written = 0;
    uint64_t target_written_ms = 0;
    uint64_t target_written_bytes = 0;
    uint64_t write_errors = 0;
    bool write_failed = false;  // the last one, and said so
    bool gone = false;          // it died while we wrote
  };

  Arbiter(Settings settings, World world, policy::Loop loop);
  void settle_mode(uint64_t now_ms);
  void hand_all_back(uint64_t now_ms);
  Result<void> take_census(uint64_t now_ms);
  void adopt(std::vector<GuestSight> sights, uint64_t now_ms);
  policy::GuestInput input_of(const Guest& guest, const store::ClientStats* client) const;
  std::vector<policy::GuestInput> inputs() const;
  Result<policy::HostView> host_view(uint64_t now_ms) const;
  void log_tick(const policy::TickRecord& tick);
  void begin_loop_anew();
  void act(const policy::TickRecord& tick);
  void follow_balloon(Guest& guest, uint64_t now_ms);
  void note_decision(Guest& guest, const policy::GuestRecord& record, uint64_t now_ms);
  void write_target(Guest& guest, const policy::BoundedTarget& bounded, uint64_t now_ms);
  uint64_t surplus_bytes() const;
  void hand_over(Guest& guest, uint64_t ceiling_bytes, uint64_t now_ms);
  void take_back(Guest& guest, uint64_t now_ms);
  bool write(Guest& guest, const transport::xen::XenStore::Nodes& nodes);
  bool wants_guest_mode(const Guest& guest) const;
  Result<DomId> find(const std::string& name) const;
  nlohmann::json why(const Guest& guest, uint64_t now_ms) const;
  std::string title(const Guest& guest) const;

  Settings settings_;
  World world_;
  policy::Loop loop_;
  std::unique_ptr<DecisionFile> log_;  // null: none is wanted
  Census census_;
  ReportWatches watches_;
  Mode mode_ = Mode::kOff;  // in effect
  std::string rival_;
  uint64_t rival_asked_ms_ = 0;  // 0: never
  bool blind_ = false;           // the last census or look at the host failed, and said so
  bool recycled_ = false;        // a number has a new owner
  uint64_t turns_ = 0;
  std::map<DomId, Guest> guests_;
  std::map<Uuid, GuestRule> changed_;  // by `tmem policy set`
};

}  // namespace tmem::arbiter
