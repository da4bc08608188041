// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/model/run.h"

#include <utility>

#include "tests/model/run_impl.h"
#include "tests/model/whole_slots.h"
#include "tmemd/memory/memfd.h"

namespace tmem::model {

using store::Status;

namespace {

constexpr uint64_t kOpsBetweenChecks = 8'000;
constexpr uint64_t kOpsBetweenCapChecks = 8;
constexpr uint64_t kOpsBetweenDrains = 2'000;  // ample: what waits to be freed stays small
constexpr size_t kHistoryShown = 16;

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

}  // namespace

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
  if (options_.whole_slots) {
    provider_ = std::make_unique<WholeSlots>(shape_.budget_max_bytes);
  } else {
    auto provider = memory::create_memfd_provider({.bytes_max = shape_.budget_max_bytes});
    if (!provider) {
      fail("provider: " + provider.error().message);
      return false;
    }
    provider_ = *std::move(provider);
  }
  auto store = store::Store::create(shape_.options, *provider_, clock_, options_.seed);
  if (!store) {
    fail("Store::create: " + store.error().message);
    return false;
  }
  store_ = *std::move(store);
  subject_ = options_.subject(*store_, contents_, shape_);
  if (!subject_) {
    fail("the transport cannot be set up");
    return false;
  }
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
  if (options_.background) maintainer_ = std::make_unique<Maintainer>(*store_, clock_);
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
  maintainer_.reset();
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
    // Not earlier: through a ring, the store runs ahead of the answers and so of the reference.
    if (result_.ops - caps_checked_ >= kOpsBetweenCapChecks) {
      caps_checked_ = result_.ops;
      for (uint32_t client = 0; client < shape_.clients && !failed(); ++client) check_caps(client);
    }
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

RunResult run(const RunOptions& options) {
  Run run(options);
  return run.go();
}

}  // namespace tmem::model
