// SPDX-License-Identifier: GPL-2.0-or-later
// The pool domain on a fake machine: slots, limits, and that Xen gets back what it gave, zeroed.
#include "tmemd/memory/xen/pool_domain.h"

#include <thread>

#include "pool_world.h"

namespace tmem::memory::xen {

TEST_CASE("slots come lowest first, at fixed places, and keep what is written", "[pool]") {
  PoolWorld w;
  const auto pool = w.open();
  CHECK_FALSE(pool->report().found);
  CHECK(pool->slots_max() == 6);
  CHECK(reinterpret_cast<uintptr_t>(pool->base()) % kSlotBytes == 0);
  for (uint32_t i = 0; i < 3; ++i) {
    REQUIRE(pool->acquire().value() == SlotId{i});
    fill(*pool, SlotId{i}, i);
  }
  for (uint32_t i = 0; i < 3; ++i) CHECK(holds(*pool, SlotId{i}, i));
  pool->release(SlotId{1});
  CHECK(pool->enumerate() == std::vector{SlotId{0}, SlotId{2}});
  CHECK(pool->acquire().value() == SlotId{1});
  CHECK(holds(*pool, SlotId{2}, 2));
  CHECK_FALSE(pool->can_discard());
}

TEST_CASE("what is released is Xen's at once, zeroed", "[pool]") {
  PoolWorld w;
  const auto pool = w.open();
  const uint64_t free_pages = w.xen.free_pages();
  const SlotId slot = pool->acquire().value();
  CHECK(w.xen.free_pages() == free_pages - kFramesPerSlot);
  CHECK(pool->resident_bytes() == w.xen.owned_pages(pool->domain()) * kPageBytes);
  fill(*pool, slot, 7);
  pool->release(slot);
  CHECK(w.xen.free_pages() == free_pages);
  CHECK(w.xen.dirty_returns == 0);
  CHECK(w.xen.partial_unmaps == 0);
  CHECK(pool->stranded_slots() == 0);
}

TEST_CASE("slots that cannot be given back are counted, and the first is told of", "[pool]") {
  PoolWorld w;
  std::vector<std::string> told;
  w.options.on_stranded = [&told](const std::string& line) { told.push_back(line); };
  const auto pool = w.open();
  for (int i = 0; i < 3; ++i) REQUIRE(pool->acquire());
  pool->release(SlotId{0});
  CHECK(told.empty());
  w.hypervisor->release_fails = true;
  pool->release(SlotId{1});
  pool->release(SlotId{2});
  CHECK(pool->stranded_slots() == 2);
  REQUIRE(told.size() == 1);
  CHECK_THAT(told[0], Catch::Contains("Xen takes nothing back"));
  CHECK(pool->acquire().value() == SlotId{0});
  CHECK(pool->acquire().value() == SlotId{3});
}

TEST_CASE("fragmented memory makes slots too", "[pool]") {
  PoolWorld w;
  const auto pool = w.open();
  w.xen.fragment();
  const uint64_t free_pages = w.xen.free_pages();
  const SlotId slot = pool->acquire().value();
  CHECK(w.xen.free_pages() == free_pages - kFramesPerSlot - 1);  // and a list of the frames
  fill(*pool, slot, 7);
  CHECK(holds(*pool, slot, 7));
  pool->release(slot);
  CHECK(w.xen.free_pages() == free_pages);
  CHECK(w.xen.dirty_returns == 0);
}

TEST_CASE("too little memory for a slot takes none", "[pool]") {
  PoolWorld w;
  const auto pool = w.open();
  const uint64_t pages = GENERATE(uint64_t{0}, uint64_t{1}, uint64_t{511}, uint64_t{512});
  // More was there when the pool asked how much there is.
  w.xen.on_call = [&](const std::string& call) {
    if (call == "populate_extent") {
      w.xen.fragment();
      w.xen.fill_up(pages);
    }
    return true;
  };
  const auto slot = pool->acquire();
  REQUIRE_FALSE(slot);
  CHECK(slot.error().code == Errc::kNoSpace);
  CHECK(w.xen.free_pages() == pages);
  CHECK(w.xen.dirty_returns == 0);
  CHECK(pool->enumerate().empty());
}

TEST_CASE("memory that could not be mapped, so not be zeroed, makes the next slot", "[pool]") {
  PoolWorld w;
  const auto pool = w.open();
  const uint64_t free_pages = w.xen.free_pages();
  w.hypervisor->map_fails = true;
  REQUIRE_FALSE(pool->acquire());
  REQUIRE_FALSE(pool->acquire());
  w.hypervisor->map_fails = false;
  CHECK(pool->enumerate().empty());
  CHECK(w.xen.free_pages() == free_pages - kFramesPerSlot);
  CHECK(pool->acquire().value() == SlotId{0});
  CHECK(w.xen.free_pages() == free_pages - kFramesPerSlot);
  CHECK(w.xen.dirty_returns == 0);
}

TEST_CASE("Xen keeps the floor and what it has promised", "[pool]") {
  PoolWorld w;
  const auto pool = w.open();
  const uint64_t free_bytes = w.xen.free_pages() * kPageBytes;
  // A slot of fragmented memory takes a page more.
  pool->set_floor_bytes(free_bytes - kSlotBytes - kPageBytes);
  REQUIRE(pool->acquire());
  const auto more = pool->acquire();
  REQUIRE_FALSE(more);
  CHECK(more.error().code == Errc::kNoSpace);
  CHECK_THAT(more.error().message, Catch::Contains("keeps"));
  pool->set_floor_bytes(0);
  w.xen.claimed_bytes = free_bytes - 2 * kSlotBytes - kPageBytes + 1;
  CHECK_FALSE(pool->acquire());
  w.xen.claimed_bytes = free_bytes - 2 * kSlotBytes - kPageBytes;
  CHECK(pool->acquire());
  w.xen.claimed_bytes = free_bytes * 2;
  CHECK_FALSE(pool->acquire());
}

TEST_CASE("the pool has a maximum", "[pool]") {
  PoolWorld w;
  w.options.bytes_max = 2 * kSlotBytes - 1;
  const auto pool = w.open();
  CHECK(pool->slots_max() == 2);
  REQUIRE(pool->acquire());
  REQUIRE(pool->acquire());
  const auto third = pool->acquire();
  REQUIRE_FALSE(third);
  CHECK(third.error().code == Errc::kNoSpace);
  CHECK_THAT(third.error().message, Catch::Contains("4 MiB"));
}

TEST_CASE("a pool of no size is refused", "[pool]") {
  PoolWorld w;
  w.options.bytes_max = 0;
  const auto pool = w.try_open();
  REQUIRE_FALSE(pool);
  CHECK(pool.error().code == Errc::kMalformed);
  CHECK(w.xen.domains() == 0);
}

TEST_CASE("the kernel's limit of mappings limits the pool, and says so", "[pool]") {
  PoolWorld w;
  w.options.mappings_max = 8;
  const auto pool = w.open();
  CHECK(pool->slots_max() == 4);
  REQUIRE(pool->report().warnings.size() == 1);
  CHECK_THAT(pool->report().warnings[0], Catch::Contains("vm.max_map_count"));
  CHECK(read_mappings_max() >= 1024);
}

TEST_CASE("the pool domain has one owner", "[pool]") {
  PoolWorld w;
  auto pool = w.open();
  const auto second = w.try_open();
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::kConflict);
  pool.reset();
  CHECK(w.try_open());
}

TEST_CASE("an owner that is still dying is waited for", "[pool]") {
  PoolWorld w;
  auto pool = w.open();
  w.options.lock_patience = std::chrono::seconds{30};
  std::thread ends([&pool] { pool.reset(); });
  const auto second = w.try_open();
  ends.join();
  CHECK(second);
}

TEST_CASE("an orderly end gives all memory back", "[pool]") {
  PoolWorld w;
  const uint64_t free_pages = w.xen.free_pages();
  const auto pool = w.open();
  fill(*pool, pool->acquire().value(), 1);
  w.xen.fragment();
  const uint64_t other_pages = free_pages - w.xen.free_pages() - w.xen.owned_pages(pool->domain());
  fill(*pool, pool->acquire().value(), 2);
  REQUIRE(pool->destroy());
  CHECK(w.xen.free_pages() == free_pages - other_pages);
  CHECK(w.xen.domains() == 0);
  CHECK(w.xen.dirty_returns == 0);
  CHECK(pool->destroy());
  CHECK_FALSE(pool->acquire());
}

TEST_CASE("a domain that somebody destroyed is noticed, its slots stay readable", "[pool]") {
  PoolWorld w;
  const uint64_t free_pages = w.xen.free_pages();
  auto pool = w.open();
  const SlotId slot = pool->acquire().value();
  fill(*pool, slot, 3);
  CHECK_FALSE(pool->lost());
  w.xen.destroy(pool->domain());
  CHECK(pool->lost());
  CHECK(holds(*pool, slot, 3));
  const auto more = pool->acquire();
  REQUIRE_FALSE(more);
  CHECK(more.error().code == Errc::kNotFound);
  pool->release(slot);
  pool.reset();
  CHECK(w.xen.free_pages() == free_pages);
  CHECK(w.xen.domains() == 0);
  pool = w.open();
  CHECK_FALSE(pool->report().found);
  CHECK(pool->acquire());
}

TEST_CASE("taking and giving back are timed", "[pool]") {
  PoolWorld w;
  w.options.now_ns = +[]() -> uint64_t {
    static uint64_t now_ns = 0;
    return now_ns += 5;
  };
  const auto pool = w.open();
  pool->release(pool->acquire().value());
  const PoolDomainTimes times = pool->times();
  CHECK(times.taken_bytes == kSlotBytes);
  CHECK(times.take_ns == 5);
  CHECK(times.given_bytes == kSlotBytes);
  CHECK(times.give_ns == 5);
}

TEST_CASE("many threads take and give back", "[pool]") {
  PoolWorld w(12);
  w.options.bytes_max = 8 * kSlotBytes;
  const auto pool = w.open();
  const uint64_t free_pages = w.xen.free_pages();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t round = 0; round < 10; ++round) {
        const auto slot = pool->acquire();
        if (!slot) continue;
        fill(*pool, *slot, t * 100 + round);
        if (!holds(*pool, *slot, t * 100 + round)) ++wrong;
        pool->release(*slot);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(pool->times().taken_bytes > 0);
  CHECK(w.xen.free_pages() == free_pages);
  CHECK(w.xen.dirty_returns == 0);
}

}  // namespace tmem::memory::xen
