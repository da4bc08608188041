// SPDX-License-Identifier: GPL-2.0-or-later
// What must hold between the operations of a run, and at its end.
#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/model/run_impl.h"

namespace tmem::model {

using store::Kind;

void Run::check_caps(uint32_t client) {
  if (!reference_.alive(client) || !cap_holds_[client]) return;
  const uint64_t cap = reference_.settings(client).cap_pages;
  const uint64_t persistent = reference_.pages(client, Kind::kPersistent);
  if (cap == store::kNoCap || persistent > cap) return;
  // Persistent pages that were over a lowered cap, flushed and not freed yet still count there.
  const uint64_t pages = store_->client_stats(*refs_[client]).pages[0] + persistent;
  if (pages > cap)
    fail("client " + std::to_string(client) + " holds " + std::to_string(pages) +
         " pages over its cap of " + std::to_string(cap));
}

void Run::check_counters(uint32_t client, const store::ClientCounters& counters) {
  const Tally& tally = tally_[client];
  const auto same = [&](const char* what, uint64_t counter, uint64_t answers) {
    if (counter != answers)
      fail("client " + std::to_string(client) + ": counter " + what + " is " +
           std::to_string(counter) + ", the answers were " + std::to_string(answers));
  };
  same("puts_ok", counters.puts_ok, tally.puts_ok);
  same("puts_frozen", counters.puts_frozen, tally.puts_frozen);
  same("puts_no_space", counters.puts_no_space, tally.puts_no_space);
  same("puts_same_filled", counters.puts_same_filled, tally.same_filled);
  same("hits", counters.hits, tally.hits);
  same("flushes_found", counters.flushes_found, tally.flushes_found);
}

void Run::check_client(uint32_t client) {
  const store::ClientStats stats = store_->client_stats(*refs_[client]);
  for (const Kind kind : {Kind::kEphemeral, Kind::kPersistent}) {
    const uint64_t wanted = reference_.pages(client, kind);
    const uint64_t held = stats.pages[static_cast<size_t>(kind)];
    const bool exact = kind == Kind::kPersistent || reference_.exact(client);
    if (held > wanted || (exact && held != wanted))
      fail("client " + std::to_string(client) + " is said to hold " + std::to_string(held) +
           " pages of kind " + std::to_string(static_cast<int>(kind)) + ", the reference " +
           std::to_string(wanted));
  }
  check_caps(client);
  if (!shape_.shared) check_counters(client, stats.counters);
}

// With a maintainer the store is looked at while it works; counts hold all the same.
void Run::check_everything() {
  if (failed()) return;
  if (const auto violation = store_->check_invariants()) fail("check_invariants: " + *violation);
  drain();
  if (const auto violation = store_->check_invariants())
    fail("check_invariants after maintain: " + *violation);
  for (uint32_t client = 0; client < shape_.clients && !failed(); ++client)
    if (reference_.alive(client)) check_client(client);
  const store::StoreStats stats = store_->stats();
  if (stats.held_bytes > stats.budget_bytes && !options_.whole_slots)
    fail("the store holds " + std::to_string(stats.held_bytes) + " bytes over its budget of " +
         std::to_string(stats.budget_bytes));
}

// Every page that was ever put and not taken away.
void Run::sweep() {
  for (uint32_t client = 0; client < shape_.clients; ++client) {
    if (!reference_.alive(client)) continue;
    for (const Operation& get : reference_.all_pages(client)) {
      batch_.push_back(get);
      if (batch_.size() >= shape_.batch) run_batch();
    }
    run_batch();
  }
}

bool Run::is_empty() const {
  const store::StoreStats stats = store_->stats();
  return stats.pages[0] + stats.pages[1] == 0 && stats.contents == 0;
}

// When all clients are gone nothing may be held for them.
void Run::close() {
  for (uint32_t client = 0; client < kClientsMax; ++client) {
    Operation op;
    op.kind = OpKind::kRemoveClient;
    op.client = static_cast<uint8_t>(client);
    administer(op);
  }
  drain();
  // A client is no longer found before its pages are handed to maintain(), which is only called
  // here: a thread of the subject may still be between the two.
  for (int tries = 0; subject_->removes_later() && !is_empty() && tries < 6000; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    drain();
  }
  if (const auto violation = store_->check_invariants())
    fail("check_invariants at end: " + *violation);
  if (is_empty()) return;
  const store::StoreStats stats = store_->stats();
  fail(std::to_string(stats.pages[0]) + " ephemeral and " + std::to_string(stats.pages[1]) +
       " persistent pages, " + std::to_string(stats.contents) +
       " contents are left when all clients are gone");
}

}  // namespace tmem::model
