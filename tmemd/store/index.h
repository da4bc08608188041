// SPDX-License-Identifier: GPL-2.0-or-later
// The index: (client, pool, object id, page index) → page record. Volatile; by key shards.
//
//   object set (hash of key) ─► object;   leaf set (hash of object, index / 64) ─► leaf of up to
//   64 page handles, packed by a bitmap
//
// An object and all its pages belong to one shard. Objects of an older pool generation (flushed,
// destroyed) are never found again; they stay in their pool's list until reclaim frees them.
//
// Every method needs the shard's lock unless it says otherwise. Lock order: see content.h.
#pragma once
#include <boost/intrusive/unordered_set.hpp>
#include <cstdint>
#include <memory>
#include <vector>

#include "tmemd/store/client.h"
#include "tmemd/store/content.h"
#include "tmemd/store/spin_lock.h"
#include "tmemd/store/tables.h"

namespace tmem::store {

// What names an object, with the pool's generation.
struct ObjectKey {
  Client* client = nullptr;
  uint32_t pool = 0;
  uint32_t generation = 0;
  ObjectId id;
  uint64_t hash = 0;  // of the above; set by make_key
};

struct Leaf {
  boost::intrusive::unordered_set_member_hook<> hash_hook;
  Leaf* next = nullptr;   // of the same object
  Leaf** link = nullptr;  // what points to this one there
  Handle object = 0;
  uint32_t number = 0;    // index / 64
  uint64_t present = 0;   // which of the 64 pages there are
  uint32_t capacity = 0;  // slots behind this struct: 4, 16 or 64
  uint32_t salt = 0;      // of the client's hash

  Handle* slots() { return reinterpret_cast<Handle*>(this + 1); }
  uint32_t count() const { return static_cast<uint32_t>(__builtin_popcountll(present)); }
};

// A hash set of intrusive nodes whose buckets grow one at a time.
template <class Node, class Hash, class Equal>
class GrowingSet {
  using Set = boost::intrusive::unordered_set<
      Node,
      boost::intrusive::member_hook<Node, boost::intrusive::unordered_set_member_hook<>,
                                    &Node::hash_hook>,
      boost::intrusive::hash<Hash>, boost::intrusive::equal<Equal>,
      boost::intrusive::power_2_buckets<true>, boost::intrusive::incremental<true>>;

 public:
  explicit GrowingSet(BlockAllocator& blocks)
      : blocks_(blocks),
        buckets_(std::make_unique<Bucket[]>(kBucketsMin)),
        set_(typename Set::bucket_traits(buckets_.get(), kBucketsMin)) {
    blocks_.add_heap_bytes(kBucketsMin * sizeof(Bucket));
  }

  template <class Key>
  Node* find(const Key& key) {
    const auto it = set_.find(key, Hash{}, Equal{});
    return it == set_.end() ? nullptr : &*it;
  }
  void insert(Node& node) {
    set_.insert(node);
    if (set_.size() > set_.split_count() && !set_.incremental_rehash(true)) enlarge();
  }
  void erase(Node& node) { set_.erase(set_.iterator_to(node)); }
  template <class Dispose>
  void clear(Dispose dispose) {
    set_.clear_and_dispose(dispose);
  }
  size_t size() const { return set_.size(); }
  auto begin() { return set_.begin(); }
  auto end() { return set_.end(); }

 private:
  using Bucket = typename Set::bucket_type;
  static constexpr size_t kBucketsMin = 64;

  void enlarge() {
    const size_t count = count_ * 2;
    auto buckets = std::make_unique<Bucket[]>(count);
    if (!set_.incremental_rehash(typename Set::bucket_traits(buckets.get(), count))) return;
    blocks_.add_heap_bytes(static_cast<int64_t>((count - count_) * sizeof(Bucket)));
    buckets_ = std::move(buckets);
    count_ = count;
  }

  BlockAllocator& blocks_;
  size_t count_ = kBucketsMin;
  std::unique_ptr<Bucket[]> buckets_;
  Set set_;
};

struct LeafKey {
  Handle object;
  uint32_t number;
  uint32_t salt;
};

// Salted by client, so that a guest cannot aim its ids at one bucket.
ObjectKey make_key(Client& client, uint32_t pool, uint32_t generation, const ObjectId& id);
uint64_t hash_of(const LeafKey& key);
inline uint32_t shard_of(const ObjectKey& key) {
  return static_cast<uint32_t>(key.hash >> (64 - kShardBits));
}

struct ObjectHash {
  size_t operator()(const ObjectNode& n) const { return n.hash; }
  size_t operator()(const ObjectKey& k) const { return k.hash; }
};
struct ObjectEqual {
  bool operator()(const ObjectNode& a, const ObjectNode& b) const { return &a == &b; }
  bool operator()(const ObjectKey& k, const ObjectNode& n) const;
  bool operator()(const ObjectNode& n, const ObjectKey& k) const { return (*this)(k, n); }
};
struct LeafHash {
  size_t operator()(const Leaf& l) const { return hash_of(LeafKey{l.object, l.number, l.salt}); }
  size_t operator()(const LeafKey& k) const { return hash_of(k); }
};
struct LeafEqual {
  bool operator()(const Leaf& a, const Leaf& b) const {
    return a.object == b.object && a.number == b.number;
  }
  bool operator()(const LeafKey& k, const Leaf& l) const {
    return k.object == l.object && k.number == l.number;
  }
  bool operator()(const Leaf& l, const LeafKey& k) const { return (*this)(k, l); }
};

class KeyShard {
 public:
  KeyShard(uint32_t number, BlockAllocator& blocks, Tables& tables, ContentStore& contents);
  KeyShard(const KeyShard&) = delete;
  KeyShard& operator=(const KeyShard&) = delete;
  // Before the store goes: frees leaves, forgets objects (their pools' lists own them).
  void clear();

  SpinLock lock;

  ObjectNode* find_object(const ObjectKey& key) { return objects_.find(key); }
  // Null when there is no memory. The object starts without pages; forget_if_empty undoes it.
  ObjectNode* make_object(const ObjectKey& key, Kind kind);
  // Frees an object without pages.
  void forget_if_empty(ObjectNode& object);
  // A flushed object: it is not found any more and waits for reclaim.
  void detach(ObjectNode& object);

  // The record of a page, 0 if there is none.
  Handle find_page(const ObjectNode& object, uint32_t index);
  // A new record, not yet in the index; 0 without memory.
  Handle make_record(const ObjectNode& object, uint32_t index, uint32_t sequence);
  void free_record(Handle page);
  // Puts a page into the index, over the old one if there is one. False without memory.
  bool set_page(ObjectNode& object, uint32_t index, Handle page);
  // Takes a page out of the index and frees it with what it shows.
  void remove_page(ObjectNode& object, uint32_t index, Handle page);
  // Frees a page that is not in the index any more.
  void drop_page(Handle page);

  // Removes up to `limit` pages of an object, only same-filled ones if so asked, looking at no
  // more than 64 * limit. Returns how many.
  uint32_t remove_pages(ObjectNode& object, uint32_t limit, bool same_filled_only);

  // The page of a sharer found under its content's lock, if it is still in the index.
  ObjectNode* verify(const ContentStore::Sharer& sharer, Handle content);

  GrowingSet<ObjectNode, ObjectHash, ObjectEqual>& objects() { return objects_; }
  GrowingSet<Leaf, LeafHash, LeafEqual>& leaves() { return leaves_; }

 private:
  struct FreeLeaf {
    void operator()(Leaf* leaf) const;
  };
  using LeafPtr = std::unique_ptr<Leaf, FreeLeaf>;

  LeafPtr make_leaf(const ObjectNode& object, uint32_t number, uint32_t capacity);
  void add_heap(const ObjectNode& object, int64_t bytes);
  Leaf* find_leaf(const ObjectNode& object, uint32_t index);
  void adopt(ObjectNode& object, LeafPtr leaf);
  void add_to_pool(const ObjectNode& object, int64_t step);
  void remove_leaf(ObjectNode& object, Leaf& leaf);
  Leaf* widen(ObjectNode& object, Leaf& leaf);
  PageRecord& record(Handle page) { return tables_.page(page); }

  const uint32_t number_;
  BlockAllocator& blocks_;
  Tables& tables_;
  ContentStore& contents_;
  GrowingSet<ObjectNode, ObjectHash, ObjectEqual> objects_;
  GrowingSet<Leaf, LeafHash, LeafEqual> leaves_;
};

}  // namespace tmem::store
