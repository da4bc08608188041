// SPDX-License-Identifier: GPL-2.0-or-later
// What a successor finds of a pool domain: after a crash between any two steps, and when what the
// domain holds is not to be believed.
#include "pool_world.h"
#include "tmemd/memory/xen/recovery.h"

namespace tmem::memory::xen {
namespace {

constexpr size_t kHeaderWords = 8;

// The table's check, written out here because the table must not accept what only looks right.
uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 32);
}
uint64_t entry_of(uint64_t kind, uint64_t place, Frame frame) {
  const auto number = static_cast<uint64_t>(frame);
  return kind << 56 | (mix(mix(kind, place), number) & 0xffff) << 40 | number;
}
Frame frame_in(uint64_t entry) {
  return Frame{entry & 0xff'ffff'ffff};
}

// A pool with three slots, the last of them fragmented.
struct Filled : PoolWorld {
  Filled() {
    const auto pool = open();
    domain = pool->domain();
    for (uint64_t i = 0; i < 3; ++i) {
      if (i == 2) xen.fragment();
      fill(*pool, pool->acquire().value(), i);
    }
    xen.heal();
    root = xen.words(xen.root(domain));
    directory = xen.words(frame_in(root[kHeaderWords]));
  }
  // What is free or the pool's: nothing may get lost.
  uint64_t pages() const { return xen.free_pages() + xen.owned_pages(domain); }

  DomId domain{};
  uint64_t* root = nullptr;
  uint64_t* directory = nullptr;
};

void expect_slots(const PoolDomain& pool, const std::vector<uint32_t>& expected) {
  std::vector<SlotId> slots;
  for (const uint32_t slot : expected) slots.push_back(SlotId{slot});
  CHECK(pool.enumerate() == slots);
  for (const uint32_t slot : expected) CHECK(holds(pool, SlotId{slot}, slot));
}

}  // namespace

TEST_CASE("a successor finds slots and contents at the same places", "[pool]") {
  Filled w;
  const uint64_t owned_pages = w.xen.owned_pages(w.domain);
  {
    const auto pool = w.open();
    CHECK(pool->domain() == w.domain);
    CHECK(pool->report().found);
    CHECK(pool->report().slots == 3);
    CHECK(pool->report().orphan_bytes == 0);
    CHECK(pool->report().warnings.empty());
    CHECK(w.xen.owned_pages(w.domain) == owned_pages);
    expect_slots(*pool, {0, 1, 2});
    pool->release(SlotId{0});
    pool->release(SlotId{2});
  }
  const auto pool = w.open();
  expect_slots(*pool, {1});
  CHECK(pool->acquire().value() == SlotId{0});
  CHECK(w.xen.dirty_returns == 0);
}

TEST_CASE("a smaller or larger successor keeps what there is", "[pool]") {
  Filled w;
  w.options.bytes_max = kSlotBytes;
  {
    const auto pool = w.open();
    expect_slots(*pool, {0, 1, 2});
    CHECK(pool->slots_max() == 3);
    CHECK_FALSE(pool->acquire());
  }
  w.options.bytes_max = 600 * kSlotBytes;  // needs another directory
  auto pool = w.open();
  expect_slots(*pool, {0, 1, 2});
  CHECK(pool->slots_max() == 600);
  pool.reset();
  expect_slots(*w.open(), {0, 1, 2});
}

TEST_CASE("a successor starts without free memory", "[pool]") {
  Filled w;
  w.xen.fill_up(0);
  w.options.bytes_max = 600 * kSlotBytes;
  const auto pool = w.open();
  expect_slots(*pool, {0, 1, 2});
  CHECK(pool->slots_max() == 512);
  CHECK(pool->report().warnings.size() == 1);
}

TEST_CASE("orphans are zeroed and given back", "[pool]") {
  Filled w;
  const uint64_t free_pages = w.xen.free_pages();
  w.xen.give(w.domain, 700);
  const auto pool = w.open();
  CHECK(pool->report().orphan_bytes == 700 * kPageBytes);
  CHECK(w.xen.free_pages() == free_pages);
  CHECK(w.xen.dirty_returns == 0);
  expect_slots(*pool, {0, 1, 2});
}

TEST_CASE("a process that may map too little is told how to get more", "[pool]") {
  Filled w;
  w.options.mappings_max = 4;
  const auto pool = w.try_open();
  REQUIRE_FALSE(pool);
  CHECK_THAT(pool.error().message, Catch::Contains("vm.max_map_count"));
  w.options.mappings_max = 64;
  expect_slots(*w.open(), {0, 1, 2});
}

TEST_CASE("contents are kept when mapping fails for want of memory", "[pool]") {
  Filled w;
  auto hypervisor = std::make_unique<FakeHypervisor>(w.xen);
  hypervisor->map_fails = true;
  REQUIRE_FALSE(PoolDomain::open(std::move(hypervisor), w.xen, w.options));
  expect_slots(*w.open(), {0, 1, 2});
}

// ---- A crash before each call ----

enum class Step {
  kOpen,
  kAttach,
  kAcquire,
  kAcquireFragmented,
  kRelease,
  kReleaseFragmented,
  kDestroy
};

// The process ends before its `n`th call in this step. False when the step has fewer calls.
bool crash_in(PoolWorld& w, Step step, unsigned n) {
  unsigned calls = 0;
  bool armed = step == Step::kOpen || step == Step::kAttach;
  bool crashed = false;
  w.xen.on_call = [&](const char*) {
    crashed = armed && calls++ == n;
    return !crashed;
  };
  try {
    const auto pool = w.open();
    armed = true;
    if (step == Step::kAcquireFragmented) w.xen.fragment();
    if (step == Step::kAcquire || step == Step::kAcquireFragmented) (void)pool->acquire();
    if (step == Step::kRelease) pool->release(SlotId{1});
    if (step == Step::kReleaseFragmented) pool->release(SlotId{2});
    if (step == Step::kDestroy) (void)pool->destroy();
  } catch (const Crash&) {
  }
  w.xen.on_call = nullptr;
  return crashed;
}

TEST_CASE("a crash before any call of a first start loses no memory", "[pool][crash]") {
  unsigned n = 0;
  for (bool crashed = true; crashed; ++n) {
    PoolWorld w;
    const uint64_t free_pages = w.xen.free_pages();
    crashed = crash_in(w, Step::kOpen, n);
    const auto pool = w.open();
    REQUIRE(pool->acquire());
    REQUIRE(pool->destroy());
    REQUIRE(w.xen.free_pages() == free_pages);
    REQUIRE(w.xen.domains() == 0);
    REQUIRE(w.xen.dirty_returns == 0);
  }
  CHECK(n > 5);
}

TEST_CASE("a crash before any call loses no memory and no slot, and leaks nothing",
          "[pool][crash]") {
  const Step step = GENERATE(Step::kAttach, Step::kAcquire, Step::kAcquireFragmented,
                             Step::kRelease, Step::kReleaseFragmented, Step::kDestroy);
  unsigned n = 0;
  for (bool crashed = true; crashed; ++n) {
    Filled w;
    const bool orphans = step == Step::kAttach;
    if (orphans) w.xen.give(w.domain, 100);
    crashed = crash_in(w, step, n);
    INFO("step " << static_cast<int>(step) << ", call " << n);
    if (w.xen.domains() == 0) continue;  // destroyed
    const auto pool = w.open();
    const auto slots = pool->enumerate();
    REQUIRE(std::ranges::find(slots, SlotId{0}) != slots.end());
    REQUIRE(holds(*pool, SlotId{0}, 0));
    REQUIRE(pool->report().damaged_slots == 0);
    REQUIRE(pool->report().warnings.empty());
    const bool released = step == Step::kRelease || step == Step::kReleaseFragmented;
    if (!released) REQUIRE(slots.size() >= 3);
    // All that the domain has are slots and their table: lists of fragmented slots are one page.
    const uint64_t owned_pages = w.xen.owned_pages(w.domain);
    const uint64_t table_pages = owned_pages - slots.size() * kFramesPerSlot;
    REQUIRE(owned_pages >= slots.size() * kFramesPerSlot + 2);
    REQUIRE(table_pages <= 2 + 2);
    REQUIRE(w.xen.dirty_returns == 0);
    const uint64_t pages = w.pages();
    for (const SlotId slot : slots) pool->release(slot);
    REQUIRE(w.xen.owned_pages(w.domain) == 2);
    REQUIRE(pool->destroy());
    REQUIRE(w.xen.free_pages() == pages);
    REQUIRE(w.xen.dirty_returns == 0);
  }
  CHECK(n > 4);
}

// ---- What is not to be believed ----

TEST_CASE("a domain without a readable root is emptied and used again", "[pool][damage]") {
  Filled w;
  const uint64_t pages = w.pages();
  const int how = GENERATE(range(0, 6));
  if (how == 0) w.xen.set_root(w.domain, Frame{0});
  if (how == 1) w.xen.set_root(w.domain, Frame{uint64_t{1} << 50});
  if (how == 2) w.xen.set_root(w.domain, Frame{0x7ff});              // somebody else's, or free
  if (how == 3) w.xen.set_root(w.domain, frame_in(w.directory[0]));  // a slot's
  if (how == 4) w.root[0] ^= 1;
  if (how == 5) w.root[2] ^= 1;
  const auto pool = w.open();
  CHECK(pool->report().table_lost);
  CHECK(pool->report().warnings.size() == 1);
  CHECK(pool->enumerate().empty());
  CHECK(w.pages() == pages);
  CHECK(w.xen.owned_pages(w.domain) == 2);
  CHECK(w.xen.dirty_returns == 0);
  CHECK(pool->acquire());
}

TEST_CASE("a table of another version is left alone", "[pool][damage]") {
  Filled w;
  const uint64_t owned_pages = w.xen.owned_pages(w.domain);
  w.root[1] = 2;
  w.root[3] = mix(mix(mix(0, w.root[0]), w.root[1]), w.root[2]);
  const auto pool = w.try_open();
  REQUIRE_FALSE(pool);
  CHECK(pool.error().code == Errc::kConflict);
  CHECK_THAT(pool.error().message, Catch::Contains("xl destroy"));
  CHECK(w.xen.owned_pages(w.domain) == owned_pages);
}

TEST_CASE("a damaged entry loses its slot only", "[pool][damage]") {
  Filled w;
  const uint64_t pages = w.pages();
  const int how = GENERATE(range(0, 8));
  uint64_t& entry = w.directory[1];
  if (how == 0) entry ^= uint64_t{1} << 9;
  if (how == 1) entry = w.directory[0];
  if (how == 2) entry = entry_of(1, 1, frame_in(w.directory[0]));  // slot 0's frames
  if (how == 3) entry = entry_of(1, 1, Frame{0});                  // not the domain's
  if (how == 4) entry = entry_of(1, 1, Frame{uint64_t{1} << 39});  // not the machine's
  if (how == 5) entry = entry_of(1, 1, Frame{static_cast<uint64_t>(frame_in(entry)) + 1});
  if (how == 6) entry = entry_of(2, 1, frame_in(entry));  // no list there
  if (how == 7) entry = ~uint64_t{0};
  const auto pool = w.open();
  CHECK(pool->report().damaged_slots == 1);
  CHECK(pool->report().warnings.size() == 1);
  expect_slots(*pool, {0, 2});
  CHECK(w.pages() == pages);
  CHECK(w.xen.dirty_returns == 0);
  CHECK(pool->acquire().value() == SlotId{1});
}

TEST_CASE("slots are not confused", "[pool][damage]") {
  Filled w;
  const uint64_t pages = w.pages();
  std::swap(w.directory[0], w.directory[1]);
  const auto pool = w.open();
  CHECK(pool->report().damaged_slots == 2);
  expect_slots(*pool, {2});
  CHECK(w.pages() == pages);
  CHECK(w.xen.dirty_returns == 0);
}

TEST_CASE("a damaged list loses its slot only", "[pool][damage]") {
  Filled w;
  uint64_t* const list = w.xen.words(frame_in(w.directory[2]));
  const int how = GENERATE(range(0, 3));
  if (how == 0) list[17] = list[16];
  if (how == 1) list[511] = ~uint64_t{0};
  if (how == 2) std::swap(list[0], list[1]);
  const uint64_t pages = w.pages();
  const auto pool = w.open();
  expect_slots(*pool, {0, 1});
  CHECK(w.pages() == pages);
  CHECK(pool->report().orphan_bytes == (kFramesPerSlot + 1) * kPageBytes);
  CHECK(w.xen.dirty_returns == 0);
}

TEST_CASE("a damaged directory is replaced", "[pool][damage]") {
  Filled w;
  const uint64_t pages = w.pages();
  uint64_t& directory = w.root[kHeaderWords];
  const int how = GENERATE(range(0, 3));
  if (how == 0) directory ^= 1;
  if (how == 1) directory = entry_of(3, 0, w.xen.root(w.domain));
  if (how == 2) directory = entry_of(3, 0, Frame{0});
  {
    const auto pool = w.open();
    CHECK(pool->enumerate().empty());
    CHECK(pool->report().warnings.size() == 1);
    CHECK(w.pages() == pages);
    CHECK(w.xen.dirty_returns == 0);
    fill(*pool, pool->acquire().value(), 0);
  }
  expect_slots(*w.open(), {0});
}

TEST_CASE("any single changed bit of the table is survived", "[pool][damage]") {
  Filled w;
  const uint64_t pages = w.pages();
  const auto word = GENERATE(range(0, 12));
  const auto bit = GENERATE(0, 1, 7, 39, 40, 55, 56, 63);
  w.root[word] ^= uint64_t{1} << bit;
  w.directory[word] ^= uint64_t{1} << (63 - bit);
  const auto pool = w.try_open();
  if (!pool) {
    CHECK(pool.error().code == Errc::kConflict);
    return;
  }
  CHECK(w.pages() == pages);
  CHECK(w.xen.dirty_returns == 0);
  for (const SlotId slot : (*pool)->enumerate())
    CHECK(holds(**pool, slot, static_cast<uint64_t>(slot)));
}

}  // namespace tmem::memory::xen
