// SPDX-License-Identifier: GPL-2.0-or-later
#include "tmemd/store/index.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "libtmem/base/assert.h"
#include "libtmem/base/mutation.h"

namespace tmem::store {
namespace {

constexpr uint32_t kLeafPages = 64;

uint64_t bit_of(uint32_t index) {
  return uint64_t{1} << (index % kLeafPages);
}

uint32_t leaf_number(uint32_t index) {
  if (TMEM_MUTATED(kIndexTruncated)) index &= 0xffff;
  return index / kLeafPages;
}

uint32_t position_of(const Leaf& leaf, uint64_t bit) {
  return static_cast<uint32_t>(__builtin_popcountll(leaf.present & (bit - 1)));
}

size_t leaf_bytes(uint32_t capacity) {
  return sizeof(Leaf) + capacity * sizeof(Handle);
}
// What the allocator adds to a node of ours.
constexpr int64_t kMallocBytes = 8;

uint32_t salt_of(const ObjectNode& object) {
  return static_cast<uint32_t>(object.client->salt);
}

}  // namespace

ObjectKey make_key(Client& client, uint32_t pool, uint32_t generation, const ObjectId& id) {
  struct {
    uint32_t client, pool, generation, zero;
    std::array<uint64_t, 3> id;
  } words{client.number, pool, generation, 0, id.word};
  if (TMEM_MUTATED(kOidIgnoresHighWord)) words.id[2] = 0;
  if (TMEM_MUTATED(kWrongPool)) words.pool = words.generation = 0;
  if (TMEM_MUTATED(kWrongClient)) words.client = words.generation = 0;
  const uint64_t salt = TMEM_MUTATED(kWrongClient) ? 0 : client.salt;
  return {&client, pool, generation, id, XXH3_64bits_withSeed(&words, sizeof words, salt)};
}

uint64_t hash_of(const LeafKey& key) {
  uint64_t x =
      (uint64_t{key.object} << 32 | key.number) ^ (uint64_t{key.salt} * 0x9e3779b97f4a7c15);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

bool ObjectEqual::operator()(const ObjectKey& k, const ObjectNode& n) const {
  ObjectId a = k.id;
  ObjectId b = n.id;
  if (TMEM_MUTATED(kOidIgnoresHighWord)) a.word[2] = b.word[2] = 0;
  const bool same_pool =
      TMEM_MUTATED(kWrongPool) ||
      (k.pool == n.pool && (k.generation == n.generation || TMEM_MUTATED(kWrongClient)));
  const bool same_client = TMEM_MUTATED(kWrongClient) || k.client == n.client;
  return a == b && same_pool && same_client;
}

KeyShard::KeyShard(uint32_t number, BlockAllocator& blocks, Tables& tables, ContentStore& contents)
    : number_(number),
      blocks_(blocks),
      tables_(tables),
      contents_(contents),
      objects_(blocks),
      leaves_(blocks) {}

void KeyShard::clear() {
  leaves_.clear(FreeLeaf{});
  objects_.clear([](ObjectNode*) {});
}

void KeyShard::FreeLeaf::operator()(Leaf* leaf) const {
  ::operator delete(leaf);
}

void KeyShard::add_heap(const ObjectNode& object, int64_t bytes) {
  blocks_.add_heap_bytes(bytes);
  object.client->usage.heap_bytes[static_cast<size_t>(object.kind)].fetch_add(
      static_cast<uint64_t>(bytes), std::memory_order_relaxed);
}

KeyShard::LeafPtr KeyShard::make_leaf(const ObjectNode& object, uint32_t number,
                                      uint32_t capacity) {
  Leaf* leaf = new (::operator new(leaf_bytes(capacity))) Leaf;
  leaf->object = object.record;
  leaf->number = number;
  leaf->salt = salt_of(object);
  leaf->capacity = capacity;
  add_heap(object, static_cast<int64_t>(leaf_bytes(capacity)) + kMallocBytes);
  return LeafPtr(leaf);
}

void KeyShard::adopt(ObjectNode& object, LeafPtr leaf) {
  leaf->next = object.leaves;
  leaf->link = &object.leaves;
  if (leaf->next != nullptr) leaf->next->link = &leaf->next;
  object.leaves = leaf.get();
  leaves_.insert(*leaf.release());
}

void KeyShard::remove_leaf(ObjectNode& object, Leaf& leaf) {
  leaves_.erase(leaf);
  *leaf.link = leaf.next;
  if (leaf.next != nullptr) leaf.next->link = leaf.link;
  add_heap(object, -static_cast<int64_t>(leaf_bytes(leaf.capacity)) - kMallocBytes);
  FreeLeaf{}(&leaf);
}

Leaf* KeyShard::widen(ObjectNode& object, Leaf& leaf) {
  LeafPtr wide = make_leaf(object, leaf.number, leaf.capacity * 4);
  wide->present = leaf.present;
  std::memcpy(wide->slots(), leaf.slots(), leaf.count() * sizeof(Handle));
  Leaf* result = wide.get();
  remove_leaf(object, leaf);
  adopt(object, std::move(wide));
  return result;
}

Leaf* KeyShard::find_leaf(const ObjectNode& object, uint32_t index) {
  return leaves_.find(LeafKey{object.record, leaf_number(index), salt_of(object)});
}

// ---- Objects ----

ObjectNode* KeyShard::make_object(const ObjectKey& key, Kind kind) {
  if (!blocks_.has_room(Purpose::kNormal)) return nullptr;
  const uint32_t index = tables_.objects(number_).allocate(Purpose::kNormal);
  if (index == 0) return nullptr;
  ObjectRecord& r = tables_.objects(number_)[index];
  r.id = key.id;
  r.client = key.client->number & ((1u << 20) - 1);
  r.pool = key.pool & 15;
  r.kind = static_cast<uint32_t>(kind);
  r.generation = key.generation;
  r.used = 1;
  auto node = std::make_unique<ObjectNode>();
  node->id = key.id;
  node->client = key.client;
  node->pool = key.pool;
  node->generation = key.generation;
  node->kind = kind;
  node->hash = key.hash;
  node->record = make_handle(number_, index);
  add_heap(*node, sizeof(ObjectNode) + kMallocBytes);
  objects_.insert(*node);
  key.client->pools[key.pool].objects[number_].push_back(*node);
  return node.release();
}

void KeyShard::forget_if_empty(ObjectNode& object) {
  if (object.pages != 0) return;
  const std::unique_ptr<ObjectNode> owned(&object);
  TMEM_ASSERT(object.leaves == nullptr);
  if (!object.detached) objects_.erase(object);
  auto& list = object.client->pools[object.pool].objects[number_];
  list.erase(list.iterator_to(object));
  tables_.objects(number_).release(object.record & kIndexMask);
  add_heap(object, -static_cast<int64_t>(sizeof(ObjectNode)) - kMallocBytes);
}

void KeyShard::detach(ObjectNode& object) {
  objects_.erase(object);
  object.detached = true;
  auto& list = object.client->pools[object.pool].objects[number_];
  list.erase(list.iterator_to(object));
  list.push_front(object);
}

// ---- Pages ----

Handle KeyShard::find_page(const ObjectNode& object, uint32_t index) {
  Leaf* leaf = find_leaf(object, index);
  const uint64_t bit = bit_of(index);
  if (leaf == nullptr || (leaf->present & bit) == 0) return 0;
  return leaf->slots()[position_of(*leaf, bit)];
}

Handle KeyShard::make_record(const ObjectNode& object, uint32_t index, uint32_t sequence) {
  const uint32_t i = tables_.pages(number_).allocate(Purpose::kNormal);
  if (i == 0) return 0;
  PageRecord& r = tables_.pages(number_)[i];
  r.object = object.record & kIndexMask;
  r.index = index;
  r.sequence = sequence & 3;
  return make_handle(number_, i);
}

void KeyShard::free_record(Handle page) {
  tables_.pages(number_).release(page & kIndexMask);
}

bool KeyShard::set_page(ObjectNode& object, uint32_t index, Handle page) {
  const uint64_t bit = bit_of(index);
  Leaf* leaf = find_leaf(object, index);
  if (leaf != nullptr && (leaf->present & bit) != 0) {
    leaf->slots()[position_of(*leaf, bit)] = page;
    return true;
  }
  const bool full = leaf == nullptr || leaf->count() == leaf->capacity;
  if (full && !blocks_.has_room(Purpose::kNormal)) return false;
  if (leaf == nullptr) {
    LeafPtr fresh = make_leaf(object, leaf_number(index), 4);
    leaf = fresh.get();
    adopt(object, std::move(fresh));
  } else if (full) {
    leaf = widen(object, *leaf);
  }
  const uint32_t position = position_of(*leaf, bit);
  Handle* slots = leaf->slots();
  std::memmove(slots + position + 1, slots + position, (leaf->count() - position) * sizeof(Handle));
  slots[position] = page;
  leaf->present |= bit;
  ++object.pages;
  add_to_pool(object, +1);
  return true;
}

void KeyShard::remove_page(ObjectNode& object, uint32_t index, Handle page) {
  Leaf& leaf = *find_leaf(object, index);
  const uint64_t bit = bit_of(index);
  const uint32_t position = position_of(leaf, bit);
  Handle* slots = leaf.slots();
  TMEM_SLOW_ASSERT(slots[position] == page);
  std::memmove(slots + position, slots + position + 1,
               (leaf.count() - position - 1) * sizeof(Handle));
  leaf.present &= ~bit;
  --object.pages;
  if (leaf.present == 0) remove_leaf(object, leaf);
  drop_page(page);
  object.client->release_page(object.kind);
  add_to_pool(object, -1);
}

void KeyShard::add_to_pool(const ObjectNode& object, int64_t step) {
  auto& pages = object.client->pools[object.pool].pages_in[number_];
  pages.store(pages.load(std::memory_order_relaxed) + static_cast<uint64_t>(step),
              std::memory_order_relaxed);
}

void KeyShard::drop_page(Handle page) {
  if (record(page).state == static_cast<uint32_t>(PageState::kContent)) contents_.unlink(page);
  free_record(page);
}

uint32_t KeyShard::remove_pages(ObjectNode& object, uint32_t limit, bool same_filled_only) {
  uint32_t removed = 0;
  uint32_t looked = 0;
  for (Leaf* leaf = object.leaves; leaf != nullptr && removed < limit && looked < limit;) {
    Leaf* const next = leaf->next;
    const uint32_t first = leaf->number * kLeafPages;
    uint64_t rest = leaf->present;
    ++looked;
    while (rest != 0 && removed < limit) {
      const auto bit = static_cast<uint32_t>(__builtin_ctzll(rest));
      rest &= rest - 1;
      const Handle page = leaf->slots()[position_of(*leaf, uint64_t{1} << bit)];
      if (same_filled_only && record(page).state != static_cast<uint32_t>(PageState::kSameFilled))
        continue;
      const bool last = leaf->count() == 1;
      remove_page(object, first + bit, page);
      ++removed;
      if (last) break;
    }
    leaf = next;
  }
  return removed;
}

ObjectNode* KeyShard::verify(const ContentStore::Sharer& sharer, Handle content) {
  auto& records = tables_.objects(number_);
  const uint32_t i = sharer.object & kIndexMask;
  if (!records.exists(i) || records[i].used == 0) return nullptr;
  const ObjectRecord& r = records[i];
  Client& client = *tables_.client(r.client);
  ObjectNode* object = find_object(make_key(client, r.pool, r.generation, r.id));
  if (object == nullptr || object->record != sharer.object) return nullptr;
  if (find_page(*object, sharer.index) != sharer.page) return nullptr;
  const PageRecord& page = record(sharer.page);
  const bool shows =
      page.state == static_cast<uint32_t>(PageState::kContent) && page.content == content;
  return shows ? object : nullptr;
}

}  // namespace tmem::store
