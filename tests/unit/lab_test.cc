// SPDX-License-Identifier: GPL-2.0-or-later
// The lab's parts against values worked out by hand, and whole runs against a pool in this process.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/unit/lab_fake_store.h"
#include "tools/lab/balloon.h"
#include "tools/lab/disk.h"
#include "tools/lab/manifest.h"
#include "tools/lab/report.h"
#include "tools/lab/simulation.h"

using namespace tmem;
using namespace tmem::lab;

namespace {

constexpr uint64_t mib_pages(uint64_t mib) {
  return mib * kMiB / kPageBytes;
}

// A small world: one guest of 3 MiB.
struct World {
  Parameters parameters;
  Model model;
  std::unique_ptr<FileSource> files;
  std::unique_ptr<Contents> contents;
  FakePool pool;
  std::unique_ptr<FakeStore> store;
  std::unique_ptr<GuestMemory> memory;

  explicit World(bool with_store = true) {
    parameters.scale = 16;
    model.guest.memory_mib = 48;  // 3 MiB: 768 pages
    model.guest.memory_max_mib = 64;
    model.guest.swap_mib = 64;
    model.build.jobs = 32;
    model.build.headers = 64;
    model.build.compiler_kib = 4 * kKiB;
    files = create_generated_files(7, files_needed(parameters, model));
    contents = Contents::create(*files, parameters, model).value();
    if (with_store) store = std::make_unique<FakeStore>(pool, 0);
    memory = std::make_unique<GuestMemory>(parameters, model, 0, *contents, store.get());
    REQUIRE(memory->connect(2));
  }
  // A file of `pages` pages with bytes of its own.
  InodeId file(uint32_t pages, uint64_t seed) const {
    return memory->create_file(0, {ContentKind::kOutput, seed, uint64_t{pages} * kPageBytes});
  }
  size_t count(StoreOp op) const {
    const auto& all = store->operations();
    return static_cast<size_t>(
        std::count_if(all.begin(), all.end(), [op](const PageOp& o) { return o.op == op; }));
  }
};

Parameters small_parameters() {
  Parameters parameters;
  parameters.scale = 16;
  parameters.rounds = 1;
  return parameters;
}

Model small_model() {
  Model model;
  model.guest.memory_mib = 192;
  model.guest.memory_max_mib = 256;
  model.guest.swap_mib = 256;
  model.host.fallow_mib = 128;
  model.build.jobs = 480;
  model.build.headers = 800;
  model.build.headers_per_job = 160;
  model.build.compiler_kib = 12 * kKiB;
  model.build.heap_min_kib = 6 * kKiB;
  model.build.heap_max_kib = 14 * kKiB;
  model.build.linker_heap_kib = 24 * kKiB;
  model.build.system_kib = 16 * kKiB;
  return model;
}

Result<RunResult> run_small(const Parameters& parameters, bool balloon, FakePool* pool) {
  const Model model = small_model();
  const auto files = create_generated_files(parameters.seed, files_needed(parameters, model));
  const auto contents = Contents::create(*files, parameters, model).value();
  Simulation::Setup setup;
  setup.self_ballooning = balloon;
  std::vector<std::unique_ptr<FakeStore>> stores;
  for (uint32_t guest = 0; pool != nullptr && guest < model.host.guests; ++guest) {
    stores.push_back(std::make_unique<FakeStore>(*pool, guest));
    setup.stores.push_back(stores.back().get());
  }
  setup.pool = pool;
  Simulation simulation(parameters, model, *contents, setup);
  return simulation.run(nullptr);
}

}  // namespace

TEST_CASE("balloon floor: the driver's worked values") {
  // useful 256 MB -> 67 MB, 1 GB -> 127.9, 4 GB -> 223.9, 16 GB -> 607.9 (plus the reserve)
  CHECK(balloon_floor(mib_pages(256), 0, 1) == mib_pages(67));
  CHECK(balloon_floor(mib_pages(1024), 0, 1) / 25.6 == Approx(1279).margin(1));
  CHECK(balloon_floor(mib_pages(4096), 0, 1) / 25.6 == Approx(2239).margin(1));
  CHECK(balloon_floor(mib_pages(16384), 0, 1) / 25.6 == Approx(6079).margin(1));
  // Small guests, and the reserve on top.
  CHECK(balloon_floor(mib_pages(15), 0, 1) == mib_pages(15));
  CHECK(balloon_floor(mib_pages(32), 0, 1) == mib_pages(24));
  CHECK(balloon_floor(mib_pages(256) + 1000, 1000, 1) == mib_pages(67) + 1000);
  // A scaled guest is a small picture of the large one.
  CHECK(balloon_floor(mib_pages(256) / 8, 0, 8) == mib_pages(67) / 8);
}

TEST_CASE("balloon target: slow down, fast up, within floor and maximum") {
  const BalloonModel model;
  BalloonInput input;
  input.current = 10'000;
  input.max = mib_pages(64);  // 16384; useful 64 MiB: floor = 40 + (64-40)/8 = 43 MiB = 11008
  CHECK(balloon_target(input, model, 1) == 11'008);
  input.current = 16'000;
  input.committed = 12'000;
  input.total_reserve = 0;
  input.reserved = 800;
  input.frontswap = 400;  // goal 13200: down by an eighth of 2800
  CHECK(balloon_target(input, model, 1) == 16'000 - 350);
  input.current = 12'000;  // up at once
  CHECK(balloon_target(input, model, 1) == 13'200);
  input.committed = 90'000;
  CHECK(balloon_target(input, model, 1) == input.max);
}

TEST_CASE("frontswap self-shrinking waits for calm, then takes a twentieth") {
  SelfShrink shrink{BalloonModel{}};
  CHECK(shrink.target(0) == 0);
  CHECK(shrink.target(1000) == 1000);  // grew: inertia 3
  CHECK(shrink.target(1000) == 1000);
  CHECK(shrink.target(1000) == 1000);
  CHECK(shrink.target(1000) == 950);
  CHECK(shrink.target(950) == 950);  // inertia again
  CHECK(shrink.target(950) == 950);
  CHECK(shrink.target(950) == 903);
  CHECK(shrink.target(2000) == 2000);  // grew
  CHECK(shrink.target(15) == 15);
  CHECK(shrink.target(15) == 15);
  CHECK(shrink.target(15) == 0);  // at most the hysteresis: all
}

TEST_CASE("LRU lists keep order, sizes and the balloon's frames apart") {
  Frames frames(8, 6);
  CHECK(frames.free() == 6);
  const FrameId a = frames.take();
  const FrameId b = frames.take();
  const FrameId c = frames.take();
  for (const FrameId id : {a, b, c}) frames.add_newest(id, List::kInactiveFile);
  CHECK(frames.oldest(List::kInactiveFile) == a);
  frames.remove(a);
  CHECK(frames.oldest(List::kInactiveFile) == b);
  frames.add_newest(a, List::kInactiveFile);
  frames.remove(c);
  CHECK(frames.size(List::kInactiveFile) == 2);
  CHECK(frames.oldest(List::kInactiveFile) == b);
  frames.give_back(c);
  CHECK(frames.balloon_out(10) == 4);
  CHECK(frames.present() == 2);
  CHECK(frames.take() == kNoFrame);
  frames.balloon_in(6);
  CHECK(frames.present() == 8);
  CHECK(frames.free() == 6);
}

TEST_CASE("cleancache: put at eviction, get at a miss, exclusive, flushed at unlink") {
  World world;
  GuestMemory& memory = *world.memory;
  const InodeId first = world.file(200, 1);
  const InodeId second = world.file(900, 2);
  memory.read_file(first, 0, 200);
  CHECK(memory.counters().sectors_read == uint64_t{200} * kSectorsPerPage);
  CHECK(world.count(StoreOp::kPut) == 0);
  memory.read_file(second, 0, 900);  // does not fit beside it: all of `first` goes to the pool
  CHECK(world.pool.pages() >= 200);
  const uint64_t before = memory.counters().sectors_read;
  memory.read_file(first, 0, 200);
  CHECK(memory.counters().sectors_read == before);
  CHECK(memory.counters().cleancache_hits == 200);
  CHECK(memory.counters().pages_compared == 200);
  CHECK_FALSE(world.pool.has({0, 0, first, 0}));
  CHECK(world.pool.has({0, 0, second, 0}));
  memory.unlink(second);
  memory.send_flushes();
  CHECK_FALSE(world.pool.has({0, 0, second, 0}));
  // The inode number is used again; nothing of the old file may show.
  const InodeId third = world.file(900, 3);
  CHECK(third == second);
  memory.read_file(third, 0, 900);
  CHECK_FALSE(memory.failure());
}

TEST_CASE("a write to a page that is not cached flushes the pool's copy") {
  World world;
  GuestMemory& memory = *world.memory;
  const InodeId file = world.file(4, 1);
  const InodeId filler = world.file(900, 2);
  memory.read_file(file, 0, 4);
  memory.read_file(filler, 0, 900);
  REQUIRE(world.pool.has({0, 0, file, 2}));
  memory.write_file(file, 2, 1);
  memory.send_flushes();
  CHECK_FALSE(world.pool.has({0, 0, file, 2}));
  CHECK(world.pool.has({0, 0, file, 1}));
}

TEST_CASE("dirty pages are written before they are evicted, once") {
  World world(false);
  GuestMemory& memory = *world.memory;
  const InodeId file = world.file(100, 1);
  memory.write_file(file, 0, 100);
  memory.read_file(world.file(900, 2), 0, 900);
  CHECK(memory.counters().sectors_written == uint64_t{100} * kSectorsPerPage);
  memory.set_now(60 * kSecond);
  memory.write_back();
  CHECK(memory.counters().sectors_written == uint64_t{100} * kSectorsPerPage);
}

TEST_CASE("frontswap: put at swap-out, get at swap-in, flushed when the slot is freed") {
  World world;
  GuestMemory& memory = *world.memory;
  // It grows by what the balloon took: persistent pages are charged to the guest's maximum.
  CHECK(memory.inflate(200) == 200);
  const SpaceId space = memory.create_space();
  memory.grow(space, 700);
  REQUIRE_FALSE(memory.failure());
  const uint64_t out = memory.counters().pages_swapped_out;
  CHECK(out > 100);
  CHECK(memory.counters().frontswap_puts == out);
  CHECK(memory.counters().sectors_written == 0);
  CHECK(memory.frontswap_pages() == out);
  for (uint32_t page = 0; page < 700; ++page) memory.touch(space, page, (page & 1) != 0);
  CHECK(memory.counters().frontswap_hits > 100);
  CHECK_FALSE(memory.failure());
  memory.destroy_space(space);
  memory.send_flushes();
  CHECK(memory.frontswap_pages() == 0);
  CHECK(world.pool.pages() == 0);
}

TEST_CASE("a refused put of frontswap writes the disk, and is read from there") {
  World world;
  GuestMemory& memory = *world.memory;
  REQUIRE(world.pool.set_budget(0));
  const SpaceId space = memory.create_space();
  memory.grow(space, 900);
  CHECK(memory.counters().frontswap_refused == memory.counters().frontswap_puts);
  CHECK(memory.counters().frontswap_refused > 100);
  CHECK(memory.counters().swap_sectors_written ==
        memory.counters().pages_swapped_out * kSectorsPerPage);
  memory.touch(space, 0, false);
  CHECK(memory.counters().swap_sectors_read > 0);
  CHECK(memory.frontswap_pages() == 0);
}

TEST_CASE("frontswap is limited by the guest's maximum") {
  World world;
  GuestMemory& memory = *world.memory;
  const uint32_t room = memory.max() - memory.present();
  const SpaceId space = memory.create_space();
  memory.grow(space, memory.max() + 300);
  REQUIRE_FALSE(memory.failure());
  CHECK(memory.frontswap_pages() <= room);
  CHECK(memory.counters().swap_sectors_written > 0);
}

TEST_CASE("a partial swapoff brings pages back to the guest") {
  World world;
  GuestMemory& memory = *world.memory;
  REQUIRE(memory.inflate(200) == 200);
  const SpaceId space = memory.create_space();
  memory.grow(space, 650);
  const uint32_t held = memory.frontswap_pages();
  REQUIRE(held > 20);
  memory.deflate(200);
  memory.shrink_frontswap(held - 20);
  CHECK(memory.frontswap_pages() == held - 20);
  CHECK_FALSE(memory.failure());
}

TEST_CASE("a wrong byte and a lost swap page end the run") {
  World world;
  GuestMemory& memory = *world.memory;
  world.pool.corrupt_next();
  memory.read_file(world.file(600, 1), 0, 600);
  memory.read_file(world.file(600, 2), 0, 600);
  memory.read_file(0, 0, 600);
  REQUIRE(memory.failure());
  CHECK(memory.failure()->find("wrong bytes") != std::string::npos);

  World other;
  REQUIRE(other.memory->inflate(200) == 200);
  const SpaceId space = other.memory->create_space();
  other.memory->grow(space, 700);
  for (SlotId slot = 0; slot < 700; ++slot) {
    (void)other.pool.erase({0, kFrontswapPool, slot & 15, slot >> 4});
  }
  for (uint32_t page = 0; page < 700; ++page) {
    if (!other.memory->failure()) other.memory->touch(space, page, false);
  }
  REQUIRE(other.memory->failure());
  CHECK(other.memory->failure()->find("lost") != std::string::npos);
}

TEST_CASE("out of memory and out of swap is an error, not a hang") {
  World world(false);
  const SpaceId space = world.memory->create_space();
  world.memory->grow(space, 5000);
  REQUIRE(world.memory->failure());
  CHECK(world.memory->failure()->find("out of memory") != std::string::npos);
}

TEST_CASE("disk: a neighbouring request costs its transfer, a far one seek and rotation") {
  const DiskModel model;
  Disk disk(model);
  disk.submit({{1000, 8, false}, 0, 0});
  disk.submit({{1008, 4, false}, 0, 1});
  const double part = 1000.0 / static_cast<double>(model.size_pages);
  const auto seek =
      static_cast<uint64_t>(static_cast<double>(model.seek_span_ns) * std::sqrt(part));
  CHECK(disk.start() == model.seek_min_ns + seek + model.rotation_ns + 8 * model.page_ns);
  CHECK_FALSE(disk.start());  // busy
  CHECK(disk.finish().request.block == 1000);
  CHECK(disk.start() == 4 * model.page_ns);
  CHECK(disk.finish().process == 1);
  CHECK_FALSE(disk.start());
}

TEST_CASE("generated files: the same for the same seed, and the manifest tells them apart") {
  const auto one = create_generated_files(1, {3, 3, 2});
  const auto same = create_generated_files(1, {3, 3, 2});
  const auto other = create_generated_files(2, {3, 3, 2});
  const std::string hash = make_manifest(*one).value().hash;
  CHECK(hash.size() == 32);
  CHECK(make_manifest(*same).value().hash == hash);
  CHECK(make_manifest(*other).value().hash != hash);
}

TEST_CASE("overlap: 0 % shares no file between guests, 100 % all, 50 % some") {
  Parameters parameters = small_parameters();
  const Model model = small_model();
  const auto files = create_generated_files(1, files_needed(parameters, model));
  for (const uint32_t percent : {0u, 50u, 100u}) {
    parameters.overlap_percent = percent;
    const auto contents = Contents::create(*files, parameters, model).value();
    size_t same = 0;
    const auto& a = contents->guest_files(0).trees[0].jobs;
    const auto& b = contents->guest_files(1).trees[0].jobs;
    for (size_t i = 0; i < a.size(); ++i) {
      same += a[i].source.id == b[i].source.id;
      CHECK((a[i].output_seed == b[i].output_seed) == (a[i].source.id == b[i].source.id));
    }
    if (percent == 0) CHECK(same == 0);
    if (percent == 50) CHECK((same > a.size() / 5 && same < a.size() * 4 / 5));
    if (percent == 100) CHECK(same == a.size());
    // Another architecture compiles other objects from the same source.
    const auto& far = contents->guest_files(3).trees[0].jobs;
    CHECK(a[0].output_seed != far[0].output_seed);
  }
}

TEST_CASE("whole runs: same seed, same result; memory is conserved; tmem reads less") {
  const Parameters parameters = small_parameters();
  FakePool pool;
  FakePool again_pool;
  const auto unchanged = run_small(parameters, false, nullptr);
  const auto ballooning = run_small(parameters, true, nullptr);
  const auto tmem = run_small(parameters, true, &pool);
  const auto again = run_small(parameters, true, &again_pool);
  REQUIRE(unchanged);
  REQUIRE(ballooning);
  REQUIRE(tmem);
  REQUIRE(again);
  Report first{parameters, "generated", 0, {}, {{"tmem", *tmem}}};
  Report second{parameters, "generated", 0, {}, {{"tmem", *again}}};
  CHECK(to_json(first, small_model()) == to_json(second, small_model()));

  CHECK(unchanged->host_memory_bytes == (4 * 12 + 8) * kMiB);
  CHECK(tmem->host_memory_bytes == unchanged->host_memory_bytes);
  CHECK(tmem->ballooned_bytes_peak > 0);
  // HostMemory::check() ran at every step; and the pool never had more than there is beside the
  // guests' floors.
  CHECK(tmem->real_bytes_peak < unchanged->host_memory_bytes);
  CHECK(tmem->counters.sectors_read < ballooning->counters.sectors_read);
  CHECK(tmem->counters.pages_compared == tmem->hits);
  CHECK(tmem->hits > 0);

  Parameters other = parameters;
  other.seed = 2;
  const auto another = run_small(other, false, nullptr);
  REQUIRE(another);
  CHECK(another->counters.sectors_read != unchanged->counters.sectors_read);
}

TEST_CASE("a pool that holds more than its budget ends the run") {
  FakePool pool;
  pool.lie_about_held(64 * kMiB);
  const auto result = run_small(small_parameters(), true, &pool);
  REQUIRE_FALSE(result);
  CHECK(result.error().message.find("exceeded its budget") != std::string::npos);
}
