// SPDX-License-Identifier: GPL-2.0-or-later
// check_invariants: recomputes every figure that the data path keeps in step, from the records up.
#include <map>
#include <set>

#include "tmemd/store/impl.h"

namespace tmem::store {
namespace {

struct Sums {
  std::map<const Client*, std::array<uint64_t, kKinds>> pages;
  std::map<const Client*, std::array<uint64_t, kKinds>> content_bytes;
  std::map<const Client*, uint64_t> scoped_bytes;
  std::map<const Segment*, uint64_t> live_bytes;
  std::map<Handle, uint64_t> shown;  // content → pages in the index that show it
  std::optional<std::string> error;

  void expect(bool ok, const std::string& what) {
    if (!ok && !error) error = what;
  }
};

void check_object(Impl& impl, KeyShard& shard, ObjectNode& object, Sums& sums) {
  uint64_t pages = 0;
  for (Leaf* leaf = object.leaves; leaf != nullptr; leaf = leaf->next) {
    sums.expect(leaf->present != 0 && leaf->count() <= leaf->capacity,
                "a leaf is empty or overfull");
    sums.expect(*leaf->link == leaf, "a leaf is linked from elsewhere");
    uint32_t position = 0;
    for (uint32_t bit = 0; bit < 64; ++bit) {
      if ((leaf->present >> bit & 1) == 0) continue;
      const Handle page = leaf->slots()[position++];
      const PageRecord& r = impl.tables.page(page);
      sums.expect(r.index == leaf->number * 64 + bit,
                  "a page record has another index than its leaf");
      sums.expect(r.object == (object.record & kIndexMask), "a page record names another object");
      sums.expect(r.state != 0, "a free page record is in the index");
      if (r.state == static_cast<uint32_t>(PageState::kContent)) ++sums.shown[r.content];
      ++pages;
    }
  }
  sums.expect(pages == object.pages && pages != 0, "an object's page count is wrong");
  sums.pages[object.client][static_cast<size_t>(object.kind)] += pages;
  (void)shard;
}

void check_content(Impl& impl, Handle h, const ContentRecord& r, Sums& sums) {
  const Segment& segment = impl.segments.segment_at(r.location.offset_bytes);
  {
    const std::lock_guard lock(segment.owner->lock);
    sums.expect(segment.holds(r.location) && segment.state != SegmentState::kFree,
                "a content lies outside any segment");
  }
  sums.expect(static_cast<uint32_t>(segment.kind) == r.kind,
              "a content lies in a segment of another kind");
  sums.live_bytes[&segment] += r.location.length_bytes;
  std::set<const Client*> clients;
  uint64_t sharers = 0;
  for (Handle p = r.first_sharer; p != 0; p = impl.tables.page(p).next_sharer) {
    sums.expect(impl.tables.page(p).content == h, "a sharer shows another content");
    clients.insert(&impl.tables.client_of(p));
    ++sharers;
  }
  sums.expect(sharers == r.sharers && sharers != 0, "a content's count of sharers is wrong");
  sums.expect(sums.shown[h] == sharers, "a sharer is not in the index");
  for (const Client* client : clients) {
    sums.content_bytes[client][r.kind] += r.location.length_bytes;
    if (segment.owner->client == nullptr && r.kind == 0)
      sums.scoped_bytes[client] += r.location.length_bytes;
  }
}

void check_owner(Owner& owner, Sums& sums) {
  const std::lock_guard lock(owner.lock);
  for (auto& of_kind : owner.kinds) {
    uint64_t size_bytes = 0;
    uint64_t live_bytes = 0;
    const auto add = [&](const Segment& s) {
      size_bytes += s.size_bytes();
      live_bytes += s.live_bytes;
      sums.expect(sums.live_bytes[&s] == s.live_bytes, "a segment's live bytes are wrong");
    };
    for (const Segment& s : of_kind.by_age) add(s);
    for (const Segment& s : of_kind.busy) add(s);
    for (const auto& of_tier : of_kind.open)
      for (const Segment* s : of_tier)
        if (s != nullptr) add(*s);
    sums.expect(size_bytes == of_kind.size_bytes, "an owner's segment bytes are wrong");
    sums.expect(live_bytes == of_kind.live_bytes, "an owner's live bytes are wrong");
  }
}

void check_client(const Client& c, Sums& sums) {
  for (size_t k = 0; k < kKinds; ++k) {
    sums.expect(c.usage.pages[k] == sums.pages[&c][k], "a client's page count is wrong");
    sums.expect(c.usage.content_bytes[k] == sums.content_bytes[&c][k],
                "a client's charge is wrong");
  }
  sums.expect(c.usage.scoped_bytes == sums.scoped_bytes[&c], "a client's scoped bytes are wrong");
}

}  // namespace

// Holds every key and content shard, in order of number: the one place that takes more than one.
std::optional<std::string> Store::check_invariants() const {
  Impl& impl = *impl_;
  Sums sums;
  for (auto& shard : impl.shards) shard->lock.lock();
  for (uint32_t s = 0; s < kShards; ++s) impl.contents.shard_lock(s).lock();
  const std::vector<ClientRef> clients = impl.registry.all();
  for (const ClientRef& c : clients)
    for (Pool& pool : c->pools)
      for (uint32_t s = 0; s < kShards; ++s)
        for (ObjectNode& object : pool.objects[s])
          check_object(impl, *impl.shards[s], object, sums);
  impl.contents.for_each(
      [&](Handle h, const ContentRecord& r) { check_content(impl, h, r, sums); });
  for (const auto& owner : impl.owners()) check_owner(*owner, sums);
  for (const ClientRef& c : clients) check_client(*c, sums);
  if (!sums.error) sums.error = impl.blocks.violation();
  for (uint32_t s = 0; s < kShards; ++s) impl.contents.shard_lock(s).unlock();
  for (auto& shard : impl.shards) shard->lock.unlock();
  return sums.error;
}

}  // namespace tmem::store
