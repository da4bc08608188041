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
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "policy/loop.h"
#include "policy/urgent_turns.h"
#include "tmemd/arbiter/census.h"
#include "tmemd/arbiter/decision_file.h"
#include "tmemd/arbiter/guest.h"
#include "tmemd/arbiter/report_watches.h"
#include "tmemd/arbiter/settings.h"
#include "tmemd/arbiter/view.h"
#include "tmemd/store/store.h"

namespace tmem::arbiter {

// The host's memory beside its guests.
struct HostShare {
  uint64_t free_bytes = 0;    // as Xen counts: claims are part of it
  uint64_t claims_bytes = 0;  // promised to domains that are being built
  uint64_t head_room_bytes = 0;
  bool has_pool = false;         // in Xen's memory, not domain 0's own
  uint64_t pool_held_bytes = 0;  // of Xen's memory
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
  std::function<void(const std::string&)> log;   // what is wrong
  std::function<void(const std::string&)> note;  // what is usual
};

// Not thread-safe.
class Arbiter {
 public:
  // Errors: kNotFound for an unknown strategy, kOs.
  static Result<std::unique_ptr<Arbiter>> create(Settings settings, World world);

  uint32_t period_ms() const { return loop().period_ms(); }
  // Readable: handle_events() has something to do.
  int event_fd() const { return world_.xenstore->event_fd(); }
  // True: a guest reports that it is short of memory, so a turn is due now: two in a second for one
  // guest, four for all.
  bool handle_events(uint64_t now_ms);
  void turn(uint64_t now_ms);

  // Errors: kNotFound and kConflict for the guest's name, kNotFound for the strategy, kMalformed.
  Result<void> change(const Change& change);
  // A copy of what can be told of all this.
  View look() const;

 private:
  using XenStore = transport::xen::XenStore;
  Arbiter(Settings settings, World world, policy::Loop loop);
  bool may_hurry(DomId id, uint64_t now_ms);
  void settle_mode(uint64_t now_ms);
  void turn_off(uint64_t now_ms);
  Result<void> let_go(uint64_t now_ms);
  void hold(const Error& why);
  Result<void> take_census(uint64_t now_ms);
  Result<policy::HostView> look_at_host(uint64_t now_ms);
  void adopt(std::vector<GuestSight> sights, uint64_t now_ms);
  policy::GuestInput input_of(Guest& guest, const store::ClientStats* client);
  std::vector<policy::GuestInput> inputs();
  policy::HostView host_view(const HostShare& share, uint64_t now_ms) const;
  // As it will be at the next turn; what it decided last is in loop_.
  const policy::Loop& loop() const { return next_loop_ ? *next_loop_ : loop_; }
  void begin_loop_anew(uint64_t now_ms);
  void act(const policy::TickRecord& tick);
  void follow_balloon(Guest& guest, uint64_t now_ms);
  void complain_of_balloon(Guest& guest, uint64_t now_ms);
  void note_decision(Guest& guest, const policy::GuestRecord& record, uint64_t now_ms);
  void write_target(Guest& guest, const policy::GuestRecord& record, uint64_t now_ms);
  // Whether its target is tmemd's to set, and it follows.
  bool is_scheduled(const Guest& guest) const;
  // Of a target that tmemd wrote: what the guest has not taken yet.
  uint64_t unfinished_growth_bytes(const Guest& guest) const;
  // What a guest may still take, though the plan gives it no more than it has.
  uint64_t promised_bytes(const Guest& guest) const;
  void give_growth_up(Guest& guest, uint64_t now_ms);
  void settle(Guest& guest);
  bool write_what_it_was_given(Guest& guest);
  uint64_t surplus_bytes() const;
  void hand_over(Guest& guest, uint64_t ceiling_bytes, uint64_t now_ms);
  void take_back(Guest& guest, uint64_t now_ms);
  // `folder` null: none is to be made.
  bool write(Guest& guest, const XenStore::Nodes& nodes, const XenStore::Folder* folder = nullptr);
  bool may_set_itself(const Guest& guest, const policy::Estimate& estimate, uint64_t now_ms) const;
  std::string title(const Guest& guest) const;

  Settings settings_;
  World world_;
  policy::Loop loop_;
  std::optional<policy::Loop> next_loop_;  // from the next turn on, if strategy or knob changed
  std::unique_ptr<DecisionFile> log_;      // null: none is wanted
  Census census_;
  ReportWatches watches_;
  Mode mode_ = Mode::kOff;  // in effect
  std::string rival_;
  uint64_t rival_asked_ms_ = 0;  // 0: never
  bool let_go_ = false;          // the mode is off, and nothing is left to be undone
  std::string blind_;      // why the last census or look at the host failed; empty: it did not
  bool recycled_ = false;  // a number has a new owner, or may have one next time
  policy::UrgentTurns urgent_turns_;
  uint64_t turns_ = 0;
  std::map<DomId, Guest> guests_;
  std::map<Uuid, GuestRule> changed_;  // by `tmem policy set`
};

}  // namespace tmem::arbiter
