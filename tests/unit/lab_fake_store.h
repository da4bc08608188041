// SPDX-License-Identifier: GPL-2.0-or-later
// A pool for the lab's tests: raw pages in a map, oldest ephemeral page evicted first, no threads.
#pragma once
#include <array>
#include <cstring>
#include <list>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "tools/lab/page_store.h"

namespace tmem::lab {

class FakePool final : public PoolHost {
 public:
  using Key = std::tuple<uint32_t, uint32_t, uint64_t, uint32_t>;  // guest, pool, object, index
  struct Stored {
    std::array<std::byte, kPageBytes> bytes{};
    bool persistent = false;
    std::list<Key>::iterator age;
  };

  Result<void> set_budget(uint64_t budget_bytes) override {
    uint64_t persistent = 0;
    for (const auto& [key, stored] : pages_) persistent += stored.persistent ? kPageBytes : 0;
    if (persistent > budget_bytes) return fail(Errc::kNoSpace, "persistent pages do not fit");
    budget_bytes_ = budget_bytes;
    return {};
  }
  Result<void> advance(uint64_t) override {
    while (held_bytes() > budget_bytes_ && evict_one()) {
    }
    return {};
  }
  Result<PoolStats> stats() override {
    PoolStats stats;
    stats.budget_bytes = budget_bytes_;
    stats.held_bytes = held_bytes() + lie_bytes_;
    stats.pages = stats.contents = pages_.size();
    stats.evicted_pages = evicted_;
    return stats;
  }

  bool put(const Key& key, bool persistent, const std::byte* page) {
    erase(key);
    while (held_bytes() + kPageBytes > budget_bytes_) {
      if (!evict_one()) return false;
    }
    Stored stored;
    std::memcpy(stored.bytes.data(), page, kPageBytes);
    if (corrupt_next_) stored.bytes[100] ^= std::byte{1};
    corrupt_next_ = false;
    stored.persistent = persistent;
    ages_.push_back(key);
    stored.age = std::prev(ages_.end());
    pages_.emplace(key, stored);
    return true;
  }
  bool get(const Key& key, std::byte* page) {
    const auto found = pages_.find(key);
    if (found == pages_.end()) return false;
    std::memcpy(page, found->second.bytes.data(), kPageBytes);
    if (!found->second.persistent) erase(key);
    return true;
  }
  bool erase(const Key& key) {
    const auto found = pages_.find(key);
    if (found == pages_.end()) return false;
    ages_.erase(found->second.age);
    pages_.erase(found);
    return true;
  }
  void erase_object(uint32_t guest, uint32_t pool, uint64_t object) {
    auto at = pages_.lower_bound({guest, pool, object, 0});
    while (at != pages_.end() && std::get<0>(at->first) == guest &&
           std::get<1>(at->first) == pool && std::get<2>(at->first) == object) {
      ages_.erase(at->second.age);
      at = pages_.erase(at);
    }
  }
  size_t pages() const { return pages_.size(); }
  bool has(const Key& key) const { return pages_.contains(key); }

  // Faults for the tests that must notice them.
  void corrupt_next() { corrupt_next_ = true; }
  void lie_about_held(uint64_t more_bytes) { lie_bytes_ = more_bytes; }

 private:
  uint64_t held_bytes() const { return pages_.size() * kPageBytes; }
  bool evict_one() {
    for (const Key& key : ages_) {
      if (pages_.at(key).persistent) continue;
      const Key victim = key;
      erase(victim);
      ++evicted_;
      return true;
    }
    return false;
  }

  uint64_t budget_bytes_ = ~uint64_t{0} / 2;
  std::map<Key, Stored> pages_;
  std::list<Key> ages_;
  uint64_t evicted_ = 0;
  uint64_t lie_bytes_ = 0;
  bool corrupt_next_ = false;
};

class FakeStore final : public PageStore {
 public:
  FakeStore(FakePool& pool, uint32_t guest) : pool_(pool), guest_(guest) {}
  Result<void> create_pool(uint32_t pool, bool persistent) override {
    persistent_[pool] = persistent;
    return {};
  }
  Result<void> run(std::span<PageOp> ops) override {
    for (PageOp& op : ops) {
      const FakePool::Key key{guest_, op.pool, op.object, op.index};
      switch (op.op) {
        case StoreOp::kPut:
          op.ok = pool_.put(key, persistent_.at(op.pool), op.page);
          break;
        case StoreOp::kGet:
          op.ok = pool_.get(key, op.page);
          break;
        case StoreOp::kFlushPage:
          op.ok = pool_.erase(key);
          break;
        case StoreOp::kFlushObject:
          pool_.erase_object(guest_, op.pool, op.object);
          op.ok = true;
          break;
      }
      operations_.push_back(op);
    }
    return {};
  }
  // Everything that was ever asked, for tests of the call sites.
  const std::vector<PageOp>& operations() const { return operations_; }
  void forget_operations() { operations_.clear(); }

 private:
  FakePool& pool_;
  uint32_t guest_;
  std::map<uint32_t, bool> persistent_;
  std::vector<PageOp> operations_;
};

}  // namespace tmem::lab
