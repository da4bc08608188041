// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/model/run.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "libtmem/base/clock.h"
#include "tests/model/stream.h"
#include "tmemd/memory/memfd.h"

namespace tmem::model {
namespace {

using store::Kind;
using store::Status;

constexpr uint64_t kOpsBetweenChecks = 8'000;
constexpr uint64_t kOpsBetweenDrains = 2'000;  // ample: what waits to be freed stays small
constexpr size_t kHistoryShown = 16;
constexpr uint64_t kReserveBytes = 5 * kMiB;  // cleaner's reserve and fixed metadata, at most

// What the store itself answered: its counters must say the same.
struct Tally {
  uint64_t puts_ok = 0;
  uint64_t puts_frozen = 0;
  uint64_t puts_no_space = 0;
  uint64_t same_filled = 0;
  uint64_t hits = 0;
  uint64_t flushes_found = 0;
};

struct Step {
  Operation op;
  Status status = Status::kOk;
};

// The thread of RunOptions::background.
class Maintainer {
 public:
  Maintainer(store::Store& store, ManualClock& clock)
      : thread_([this, &store, &clock] {
          store::Worker worker;
          while (!stop_) {
            clock.advance_ms(1);
            if (!store.maintain(worker, 16)) std::this_thread::yield();
          }
        }) {}
  ~Maintainer() {
    stop_ = true;
    thread_.join();
  }
  Maintainer(const Maintainer&) = delete;
  Maintainer& operator=(const Maintainer&) = delete;

 private:
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class Run {
 public:
  explicit Run(const RunOptions& options)
      : options_(options),
        shape_(Shape::draw(mix(options.seed), options.regime)),
        contents_(options.seed),
        stream_(mix(options.seed + 1), shape_),
        reference_(options.regime, contents_) {
    history_.reserve(options.ops + 1000);
  }

  RunResult go();

 private:
  bool open();
  void run_batch();
  bool judge(const Operation& op, Status status, store::PageBytes page);
  void count(const Operation& op, Status status);
  void administer(const Operation& op);
  void add_client(const Operation& op);
  void configure(const Operation& op);
  bool must_fit(uint32_t client, const store::ClientSettings& settings) const;
  void drain();
  void check_everything();
  void check_client(uint32_t client);
  void check_caps(uint32_t client);
  void check_counters(uint32_t client, const store::ClientCounters& counters);
  void sweep();
  void close();

  bool failed() const { return result_.difference.has_value(); }
  void fail(const std::string& what, const Operation& op = {}) {
    if (!failed()) result_.difference = what + history_of(op);
  }
  std::string history_of(const Operation& op) const;

  const RunOptions& options_;
  const Shape shape_;
  const Contents contents_;
  Stream stream_;
  ReferenceStore reference_;
  ManualClock clock_;
  std::unique_ptr<memory::SlotProvider> provider_;
  std::unique_ptr<store::Store> store_;
  store::Worker worker_;
  std::unique_ptr<Subject> subject_;
  std::array<store::ClientRef, kClientsMax> refs_;
  std::array<bool, kClientsMax> cap_holds_{};  // false from a configure to the next drain
  std::array<Tally, kClientsMax> tally_;
  bool budget_holds_ = true;
  std::vector<Operation> batch_;
  std::vector<Step> history_;
  RunResult result_;
};

bool concerns(const Operation& op, const Operation& past) {
  if (past.kind == OpKind::kEvict || past.kind == OpKind::kSetBudget) return true;
  const bool pool_op = past.kind == OpKind::kFlushPool || past.kind == OpKind::kCreatePool ||
                       past.kind == OpKind::kDestroyPool;
  const bool same_pool = past.key.pool == op.key.pool;
  if (is_client_op(past.kind) && static_cast<uint32_t>(op.key.pool) >= kFirstSharedPool &&
      same_pool)
    return pool_op || past.key.object == op.key.object;  // any member's
  if (past.client != op.client) return false;
  if (!is_client_op(past.kind))
    return past.kind != OpKind::kAdvance && past.kind != OpKind::kMaintain;
  if (!same_pool) return false;
  return pool_op || (past.key.object == op.key.object &&
                     (past.key.index == op.key.index || past.kind == OpKind::kFlushObject));
}

std::string Run::history_of(const Operation& op) const {
  std::vector<std::string> lines;
  for (size_t i = history_.size(); i-- > 0 && lines.size() < kHistoryShown;) {
    if (!concerns(op, history_[i].op)) continue;
    lines.push_back("\n  op " + std::to_string(i) + ": " + describe(history_[i].op) + " -> " +
                    std::string(to_string(history_[i].status)));
  }
  std::string text;
  for (; !lines.empty(); lines.pop_back()) text += lines.back();
  return text;
}

bool Run::open() {
  auto provider = memory::create_memfd_provider({.bytes_max = shape_.budget_max_bytes});
  if (!provider) {
    fail("provider: " + provider.error().message);
    return false;
  }
  provider_ = *std::move(provider);
  auto store = store::Store::create(shape_.options, *provider_, clock_, options_.seed);
  if (!store) {
    fail("Store::create: " + store.error().message);
    return false;
  }
  store_ = *std::move(store);
  subject_ = options_.subject(*store_, contents_, shape_);
  for (uint32_t client = 0; client < shape_.clients; ++client) {
    Operation op;
    op.kind = OpKind::kAddClient;
    op.client = static_cast<uint8_t>(client);
    op.settings = mix(options_.seed + client);
    administer(op);
  }
  for (const Operation& op : stream_.opening()) {
    if (is_client_op(op.kind)) {
      batch_.push_back(op);
      run_batch();
    } else {
      administer(op);
    }
  }
  return !failed();
}

RunResult Run::go() {
  if (!open()) return result_;
  std::unique_ptr<Maintainer> maintainer;
  if (options_.background) maintainer = std::make_unique<Maintainer>(*store_, clock_);
  uint64_t checked = 0;
  uint64_t drained = 0;
  while (!failed() && result_.ops < options_.ops) {
    const Operation op = stream_.next();
    if (is_client_op(op.kind)) {
      batch_.push_back(op);
      if (batch_.size() < shape_.batch) continue;
      run_batch();
    } else {
      run_batch();
      administer(op);
    }
    if (shape_.regime == Regime::kAmple && result_.ops - drained >= kOpsBetweenDrains) {
      drained = result_.ops;
      drain();
    }
    if (result_.ops - checked < kOpsBetweenChecks) continue;
    checked = result_.ops;
    check_everything();
  }
  run_batch();
  maintainer.reset();
  if (!failed()) check_everything();
  if (!failed()) sweep();
  if (!failed()) close();
  return result_;
}

void Run::run_batch() {
  if (!failed() && !batch_.empty()) {
    subject_->run(batch_, [this](const Operation& op, Status status, store::PageBytes page) {
      return judge(op, status, page);
    });
  }
  batch_.clear();
}

bool Run::judge(const Operation& op, Status status, store::PageBytes page) {
  ++result_.ops;
  history_.push_back({op, status});
  reference_.next_tick();
  Verdict verdict;
  switch (op.kind) {
    case OpKind::kPut:
      verdict = reference_.put(op, status);
      break;
    case OpKind::kGet:
      verdict = reference_.get(op, status, page);
      break;
    case OpKind::kFlushPage:
      verdict = reference_.flush_page(op, status);
      break;
    case OpKind::kFlushObject:
      verdict = reference_.flush_object(op, status);
      break;
    case OpKind::kFlushPool:
      verdict = reference_.flush_pool(op, status);
      break;
    case OpKind::kCreatePool:
      verdict = reference_.create_pool(op, status);
      break;
    case OpKind::kDestroyPool:
      verdict = reference_.destroy_pool(op, status);
      break;
    default:
      if (status != Status::kStaleEpoch) verdict = "a request of another epoch was run";
      break;
  }
  if (verdict)
    fail("op " + std::to_string(history_.size() - 1) + ", " + describe(op) + ": " + *verdict, op);
  count(op, status);
  if (op.kind == OpKind::kPut && status == Status::kOk && result_.ops % 8 == 0)
    check_caps(op.client);
  return !failed();
}

void Run::count(const Operation& op, Status status) {
  Tally& tally = tally_[op.client];
  const bool ok = status == Status::kOk;
  switch (op.kind) {
    case OpKind::kPut:
      tally.puts_ok += ok;
      tally.same_filled += ok && is_same_filled(op.content);
      tally.puts_no_space += status == Status::kNoSpace;
      tally.puts_frozen += status == Status::kFrozen;
      result_.puts_ok += ok;
      break;
    case OpKind::kGet:
      tally.hits += ok;
      result_.hits += ok;
      break;
    case OpKind::kFlushPage:
    case OpKind::kFlushObject:
      tally.flushes_found += ok;
      break;
    default:
      break;
  }
}

void Run::administer(const Operation& op) {
  if (failed()) return;
  history_.push_back({op, Status::kOk});
  reference_.next_tick();
  const store::ClientRef& ref = refs_[op.client];
  switch (op.kind) {
    case OpKind::kAddClient:
      add_client(op);
      break;
    case OpKind::kRemoveClient:
      if (!reference_.alive(op.client)) break;
      subject_->disconnect(op.client);
      reference_.remove_client(op.client);
      break;
    case OpKind::kConfigure:
      configure(op);
      break;
    case OpKind::kAuthorise:
      store_->authorise_shared({op.spec.uuid, client_uuid(op.client)}, op.allowed);
      reference_.authorise(op);
      break;
    case OpKind::kEvict:
      (void)store_->evict(worker_, op.amount);
      reference_.evict();
      break;
    case OpKind::kEvictClient: {
      if (!reference_.alive(op.client)) break;
      const uint64_t dropped = store_->evict_client(worker_, *ref);
      if (const Verdict verdict = reference_.evict_client(op.client, dropped)) fail(*verdict, op);
      break;
    }
    case OpKind::kSetBudget:
      if (store_->set_budget(op.amount)) budget_holds_ = false;
      break;
    case OpKind::kAdvance:
      clock_.advance_ms(op.amount);
      break;
    case OpKind::kMaintain:
      (void)store_->maintain(worker_, static_cast<unsigned>(op.amount));
      break;
    default:
      break;
  }
}

// Whether the store has no reason to refuse the settings: what persistent pages hold or are
// promised fits the smallest budget beside the reserve.
bool Run::must_fit(uint32_t client, const store::ClientSettings& settings) const {
  uint64_t sum = kReserveBytes;
  for (uint32_t c = 0; c < kClientsMax; ++c) {
    const uint64_t promised =
        c == client ? settings.guarantee_bytes
                    : (reference_.alive(c) ? reference_.settings(c).guarantee_bytes : 0);
    const uint64_t held = reference_.pages(c, Kind::kPersistent) * (kPageBytes + 512);
    sum += std::max(promised, held);
  }
  return sum <= shape_.options.budget_bytes;
}

void Run::add_client(const Operation& op) {
  const store::ClientSettings settings = shape_.settings_of(op.settings);
  const store::ClientIdentity identity = {client_uuid(op.client), DomId{op.client},
                                          "client" + std::to_string(op.client)};
  if (reference_.alive(op.client)) {
    if (store_->add_client(identity, settings))
      fail("a second client with the uuid of a live one was added", op);
    return;
  }
  auto ref = subject_->connect(op.client, identity, settings);
  if (!ref) {
    drain();
    ref = subject_->connect(op.client, identity, settings);
  }
  if (!ref) {
    if (must_fit(op.client, settings)) fail("add_client: " + ref.error().message, op);
    return;
  }
  refs_[op.client] = *ref;
  reference_.add_client(op.client, settings);
  tally_[op.client] = {};
  cap_holds_[op.client] = true;
}

void Run::configure(const Operation& op) {
  if (!reference_.alive(op.client)) return;
  const store::ClientSettings settings = shape_.settings_of(op.settings);
  auto done = store_->configure(*refs_[op.client], settings);
  if (!done) {
    drain();
    done = store_->configure(*refs_[op.client], settings);
  }
  if (done) {
    reference_.configure(op.client, settings);
    cap_holds_[op.client] = false;
  } else if (must_fit(op.client, settings)) {
    fail("configure: " + done.error().message, op);
  }
}

void Run::drain() {
  constexpr int kBound = 1'000'000;
  int calls = 0;
  while (store_->maintain(worker_, 64) && calls < kBound) ++calls;
  if (calls == kBound) fail("maintain() finds work for ever");
  reference_.settled();
  cap_holds_.fill(true);
  budget_holds_ = true;
}

void Run::check_caps(uint32_t client) {
  if (!reference_.alive(client) || !cap_holds_[client]) return;
  const uint64_t cap = reference_.settings(client).cap_pages;
  if (cap == store::kNoCap || reference_.pages(client, Kind::kPersistent) > cap) return;
  const store::ClientStats stats = store_->client_stats(*refs_[client]);
  if (stats.pages[0] + stats.pages[1] > cap)
    fail("client " + std::to_string(client) + " holds " +
         std::to_string(stats.pages[0] + stats.pages[1]) + " pages over its cap of " +
         std::to_string(cap));
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
  if (stats.held_bytes > stats.budget_bytes)
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

// When all clients are gone nothing may be held for them.
void Run::close() {
  for (uint32_t client = 0; client < kClientsMax; ++client) {
    Operation op;
    op.kind = OpKind::kRemoveClient;
    op.client = static_cast<uint8_t>(client);
    administer(op);
  }
  drain();
  if (const auto violation = store_->check_invariants())
    fail("check_invariants at end: " + *violation);
  const store::StoreStats stats = store_->stats();
  if (stats.pages[0] + stats.pages[1] != 0 || stats.contents != 0)
    fail("pages or contents are left when all clients are gone");
}

}  // namespace

RunResult run(const RunOptions& options) {
  Run run(options);
  return run.go();
}

}  // namespace tmem::model
