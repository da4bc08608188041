// SPDX-License-Identifier: GPL-2.0-or-later
// tmem-guestd: pages of processes come back from the pool, on a made-up /proc and clock.
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "libtmem/base/unique_fd.h"
#include "tests/unit/guestd_processes.h"
#include "tools/tmem-guestd/shrink.h"

namespace tmem {
namespace {

constexpr uint64_t kBegin = 0x10000;
constexpr uint32_t kOurs = 2;  // the type of /dev/tmemswap0

// A guest whose kernel takes a page out of swap when it is read.
struct Guest {
  Guest() {
    current = this;
    write_pool(0);
    root.write("../sys/kernel/tmem/state", "connected\n");
    write_swaps({"/dev/tmemswap0"});
    REQUIRE(open_samples(&source, folder.c_str()));
    const ShrinkSettings settings{
        4096, [] { return current->clock_us; },
        [](const FoundPages* found, uint64_t (*)(), uint64_t) { return current->read(*found); }};
    shrink_init(&shrink, folder.c_str(), &settings);
    sample.total_kib = 1 << 20;
    sample.available_kib = 1 << 19;
    sample.swap_used_kib = 4;
    sample.has_pressure = true;
    sample.some_us = 1200;
  }
  ~Guest() {
    swap_walk_end(&shrink.walk);
    for (const int file :
         {source.meminfo, source.vmstat, source.zoneinfo, source.uptime, source.pressure})
      close(file);
  }
  void write_swaps(const std::vector<std::string>& areas) const {
    std::string text = "Filename\tType\tSize\tUsed\tPriority\n";
    for (const std::string& area : areas) text += area + "  partition\t8000\t\t400\t\t-2\n";
    root.write("swaps", text);
  }
  void write_pool(uint64_t pages) {
    pool = pages;
    root.write("../sys/kernel/tmem/swap/pool_pages", std::to_string(pages) + "\n");
  }
  // Processes with so many pages each in our area, and as many in another.
  void populate(const std::vector<int>& pids, uint64_t pages, uint32_t other_type = 0,
                uint64_t other_pages = 0) {
    for (const int pid : pids) {
      FakeMapping mapping{
          .begin = kBegin, .pages = pages + other_pages, .mode = "rw-p", .swapped = {}};
      for (uint64_t i = 0; i < pages; ++i) mapping.swapped[i] = kOurs;
      for (uint64_t i = 0; i < other_pages; ++i) mapping.swapped[pages + i] = other_type;
      write_process(root, pid, {mapping});
    }
    write_pool(pool + pages * pids.size());
  }
  int read(const FoundPages& found) {
    clock_us += batch_us;
    if (refuses) return -EPERM;
    for (unsigned i = 0; i < found.count; ++i) take_out(found.pid, found.addresses[i]);
    if (stall_us > 0) {
      some_us += stall_us;
      root.write("pressure/memory", "some total=" + std::to_string(some_us) + "\nfull total=0\n");
    }
    write_pool(pool);
    reads += found.count;
    ++batches;
    return static_cast<int>(found.count);
  }
  void take_out(int pid, uint64_t address) {
    const UniqueFd file(
        open((folder + "/proc/" + std::to_string(pid) + "/pagemap").c_str(), O_RDWR));
    const auto at = static_cast<off_t>(address / 4096 * 8);
    uint64_t entry = 0;
    REQUIRE(pread(file.get(), &entry, sizeof(entry), at) == sizeof(entry));
    REQUIRE((entry >> 62 & 1) == 1);
    const bool ours = entry % 32 == kOurs;
    others_read += !ours;
    entry = uint64_t{1} << 63;
    REQUIRE(pwrite(file.get(), &entry, sizeof(entry), at) == sizeof(entry));
    if (frees && ours) --pool;
  }
  void step() {
    now_ms += kShrinkStepMs;
    sample.some_us = some_us;
    shrink_step(&shrink, &source, &sample, false, now_ms);
  }
  void for_s(uint64_t seconds) {
    for (const uint64_t end_ms = now_ms + seconds * 1000; now_ms < end_ms;) step();
  }

  static inline Guest* current = nullptr;
  FakeRoot root;
  const std::string folder = root.path();
  SampleSource source{};
  Shrink shrink{};
  GuestSample sample{};
  uint64_t now_ms = 1000, clock_us = 0, batch_us = 100, some_us = 1200, stall_us = 0;
  uint64_t pool = 0, reads = 0, batches = 0, others_read = 0;
  bool refuses = false, frees = true;
};

}  // namespace

TEST_CASE("self-shrinking: all processes' pages come back, and then it rests") {
  Guest guest;
  guest.populate({5, 300, 4000}, 1000);
  guest.for_s(15);
  CHECK(guest.reads == 0);
  guest.for_s(60);
  CHECK(guest.pool == 0);
  CHECK(guest.shrink.back_pages == 3000);
  CHECK(guest.reads == 3000);
  CHECK_FALSE(shrink_is_at_work(&guest.shrink));
}

TEST_CASE("self-shrinking: where there is nothing of ours, or no daemon, nothing is read") {
  Guest guest;
  guest.populate({5}, 1000);
  SECTION("it is off") {
    guest.shrink.settings.most_pages_per_s = 0;
  }
  SECTION("no module") {
    std::filesystem::remove(guest.folder + "/sys/kernel/tmem/swap/pool_pages");
  }
  SECTION("tmemd is gone: a read would wait for it") {
    guest.root.write("../sys/kernel/tmem/state", "daemon-gone\n");
  }
  SECTION("nothing is in the pool") {
    guest.write_pool(0);
  }
  SECTION("our area is not in use") {
    guest.write_swaps({"/dev/xvdb"});
  }
  SECTION("no swap is used") {
    guest.sample.swap_used_kib = 0;
  }
  guest.for_s(120);
  CHECK(guest.reads == 0);
  CHECK_FALSE(shrink_is_at_work(&guest.shrink));
}

TEST_CASE("self-shrinking: a daemon that goes away in the middle is not waited for") {
  Guest guest;
  guest.populate({5}, 20'000);
  guest.for_s(20);
  const uint64_t reads = guest.reads;
  CHECK(reads > 0);
  guest.root.write("../sys/kernel/tmem/state", "daemon-gone\n");
  guest.for_s(20);
  CHECK(guest.reads == reads);
  guest.root.write("../sys/kernel/tmem/state", "connected\n");
  guest.for_s(20);
  CHECK(guest.reads > reads);
}

TEST_CASE("self-shrinking: pages of other swap areas stay there") {
  Guest guest;
  guest.populate({5, 6}, 1000, 0, 500);
  SECTION("its place in the list tells the type") {
    guest.write_swaps({"/dev/xvdb", "/dev/xvdc", "/dev/tmemswap0", "/dev/xvdd"});
    guest.for_s(60);
    CHECK(guest.others_read == 0);
    CHECK(guest.pool == 0);
  }
  SECTION("one that was removed left a gap before it") {
    guest.write_swaps({"/dev/xvdb", "/dev/tmemswap0"});
    guest.for_s(60);
    CHECK(guest.others_read == 0);
    CHECK(guest.pool == 0);
  }
  SECTION("a wrong guess is found out soon") {
    guest.write_swaps({"/dev/tmemswap0", "/dev/xvdb"});
    guest.populate({7}, 500, 0, 10'000);
    guest.for_s(120);
    CHECK(guest.others_read > 0);
    CHECK(guest.others_read < 600);
    CHECK(guest.pool == 0);
  }
}

TEST_CASE("self-shrinking: what frees nothing is given up after few pages") {
  Guest guest;
  guest.populate({5}, 20'000);
  guest.frees = false;
  guest.for_s(60);
  CHECK(guest.reads >= 512);
  CHECK(guest.reads < 600);
  CHECK(guest.shrink.useless_said);
}

TEST_CASE("self-shrinking: without the right to read others it says so and rests") {
  Guest guest;
  guest.populate({5}, 200);
  guest.refuses = true;
  guest.for_s(60);
  CHECK(guest.shrink.refusal_said);
  CHECK(guest.shrink.back_pages == 0);
  CHECK(guest.shrink.law.rest_ms > 0);
}

TEST_CASE("self-shrinking: processes that cannot be looked into are counted and said") {
  Guest guest;
  const auto shut = [&](const std::string& file) {
    std::filesystem::remove(guest.folder + "/proc/" + file);
    std::filesystem::create_symlink("loop", guest.folder + "/proc/" + file);
    std::filesystem::create_symlink(
        "loop", std::filesystem::path(guest.folder + "/proc/" + file).replace_filename("loop"));
  };
  guest.populate({5, 6, 7}, 200);
  SECTION("none can be entered") {
    shut("5/pagemap");
    shut("6/pagemap");
    shut("7/maps");
    guest.for_s(60);
    CHECK(guest.reads == 0);
    CHECK(guest.shrink.law.rest_ms > 0);
    CHECK(guest.shrink.walk.refused == 3);
  }
  SECTION("one of three") {
    shut("6/pagemap");
    guest.for_s(60);
    CHECK(guest.reads == 400);
    CHECK(guest.shrink.walk.refused == 1);
  }
  CHECK(guest.shrink.walk.refusal == ELOOP);
  CHECK(guest.shrink.refusal_said);
}

TEST_CASE("self-shrinking: a process that ended meanwhile refuses nothing") {
  Guest guest;
  guest.populate({5, 6}, 200);
  std::filesystem::remove(guest.folder + "/proc/6/pagemap");
  guest.for_s(60);
  CHECK(guest.reads == 200);
  CHECK_FALSE(guest.shrink.refusal_said);
}

TEST_CASE("self-shrinking: a step ends when processes wait, or when it took long") {
  Guest guest;
  guest.populate({5}, 20'000);
  SECTION("some wait, more than is calm: the same batch is the last") {
    guest.stall_us = 50'000;
  }
  SECTION("100 ms of reading") {
    guest.batch_us = 40'000;
  }
  uint64_t most = 0;
  for (int i = 0; i < 100; ++i) {
    const uint64_t before = guest.batches;
    guest.step();
    most = std::max(most, guest.batches - before);
  }
  CHECK(guest.batches > 0);
  CHECK(most == (guest.stall_us > 0 ? 1 : 3));
}

}  // namespace tmem
