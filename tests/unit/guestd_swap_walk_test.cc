// SPDX-License-Identifier: GPL-2.0-or-later
// tmem-guestd: which pages of which processes are in swap.
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/guestd_processes.h"
#include "tools/tmem-guestd/bring_back.h"
#include "tools/tmem-guestd/swap_walk.h"

namespace tmem {
namespace {

using Pages = std::set<std::pair<int, uint64_t>>;  // process, address

struct Walk {
  explicit Walk(const std::string& root) : folder(root) {
    swap_walk_init(&walk, folder.c_str());
    REQUIRE(swap_walk_begin(&walk));
  }
  ~Walk() { swap_walk_end(&walk); }
  Pages all(uint32_t types = kAnySwapType, unsigned most = kFoundMax, uint32_t looks_each = 1000) {
    Pages pages;
    bool more = true;
    for (calls = 0; more && calls < 100'000; ++calls) {
      FoundPages found;
      uint32_t looks = looks_each;
      more = swap_walk_next(&walk, types, most, &found, &looks);
      CHECK(found.count <= most);
      for (unsigned i = 0; i < found.count; ++i)
        CHECK(pages.emplace(found.pid, found.addresses[i]).second);  // none twice
    }
    CHECK_FALSE(more);
    CHECK_FALSE(swap_walk_is_open(&walk));
    return pages;
  }
  std::string folder;
  SwapWalk walk;
  int calls = 0;
};

FakeMapping mapping(uint64_t begin, uint64_t pages, const std::string& mode = "rw-p") {
  return {.begin = begin, .pages = pages, .mode = mode, .swapped = {}};
}

// Each third page of it.
FakeMapping third_swapped(FakeMapping mapping, Pages& pages, int pid, uint32_t type = 0) {
  for (uint64_t page = 0; page < mapping.pages; page += 3) {
    mapping.swapped[page] = type;
    pages.emplace(pid, mapping.begin + page * 4096);
  }
  return mapping;
}

}  // namespace

TEST_CASE("swap walk: finds each page of each process once, however little it may do at a time") {
  const FakeRoot root;
  Pages wanted;
  for (const int pid : {2, 17, 400, 30000})
    write_process(root, pid,
                  {third_swapped(mapping(0x10000, 1500), wanted, pid), mapping(0x1000000, 700),
                   third_swapped(mapping(0x2000000, 5), wanted, pid)});
  write_process(root, 99, {mapping(0x10000, 10)});  // nothing in swap
  REQUIRE(wanted.size() == 4 * 502);
  CHECK(Walk(root.path()).all() == wanted);
  CHECK(Walk(root.path()).all(kAnySwapType, 1) == wanted);
  CHECK(Walk(root.path()).all(kAnySwapType, 7, 1) == wanted);
  CHECK(Walk(root.path()).all(kAnySwapType, 1000, 1'000'000) == wanted);
}

TEST_CASE("swap walk: leaves out what must not or cannot be read") {
  const FakeRoot root;
  Pages wanted, unwanted;
  write_process(root, 5,
                {third_swapped(mapping(0x10000, 9, "---p"), unwanted, 5),
                 third_swapped(mapping(0x20000, 9, "rw-s"), unwanted, 5),
                 third_swapped(mapping(0x30000, 9, "r--p"), wanted, 5),
                 mapping(0x100000000, (uint64_t{1} << 28) + 1)});  // more than a TiB
  write_process(root, 6, {});                                      // a kernel thread
  write_process(root, getpid(), {third_swapped(mapping(0x10000, 9), unwanted, getpid())});
  root.write("7/status", "VmSwap: 400 kB\n");  // it ended meanwhile
  Walk walk(root.path());
  CHECK(walk.all() == wanted);
  CHECK(walk.calls < 100);
}

TEST_CASE("swap walk: no more of a process than its control groups have room for") {
  const FakeRoot root;
  Pages all;
  write_process(root, 5, {third_swapped(mapping(0x10000, 300), all, 5)});
  const auto limit = [&](const std::string& file, const std::string& text) {
    root.write("../sys/fs/cgroup/" + file, text + "\n");
  };
  root.write("5/cgroup", "0::/a.slice/b.service\n");
  limit("a.slice/memory.current", "1000000");
  limit("a.slice/b.service/memory.current", "500000");
  SECTION("without a limit there is room for all") {
    limit("a.slice/memory.max", "max");
    limit("a.slice/b.service/memory.high", "max");
    CHECK(Walk(root.path()).all() == all);
  }
  SECTION("a tenth of its limit stays free") {
    limit("a.slice/b.service/memory.max", "1000000");
    CHECK(Walk(root.path()).all().size() == 400'000 / 4096);
    CHECK(Walk(root.path()).all(kAnySwapType, 7).size() == 400'000 / 4096);
  }
  SECTION("a limit further up counts too, and so does the one that only slows down") {
    limit("a.slice/b.service/memory.max", "1000000");
    limit("a.slice/memory.high", "1200000");
    CHECK(Walk(root.path()).all().size() == 80'000 / 4096);
  }
  SECTION("a group that is full gets nothing") {
    limit("a.slice/memory.max", "1000000");
    CHECK(Walk(root.path()).all().empty());
  }
  SECTION("version 1") {
    root.write("5/cgroup", "4:cpu,memory:/a\n0::/\n");
    CHECK(Walk(root.path()).all().empty());
    root.write("5/cgroup", "4:memory:/\n1:name=systemd:/memory\n");
    CHECK(Walk(root.path()).all() == all);
  }
  SECTION("a name without end") {
    root.write("5/cgroup", "0::/" + std::string(5000, 'x') + "\n");
    CHECK(Walk(root.path()).all().empty());
  }
}

TEST_CASE("swap walk: types tell one swap area from another") {
  const FakeRoot root;
  Pages first, second;
  write_process(root, 5,
                {third_swapped(mapping(0x10000, 90), first, 5, 0),
                 third_swapped(mapping(0x100000, 90), second, 5, 3)});
  CHECK(Walk(root.path()).all(1u << 0) == first);
  CHECK(Walk(root.path()).all(1u << 3) == second);
  CHECK(Walk(root.path()).all(1u << 4).empty());
}

TEST_CASE("swap walk: one call is bounded") {
  const FakeRoot root;
  Pages none;
  write_process(root, 5,
                {mapping(0x10000, 50'000), third_swapped(mapping(0x10000000, 3), none, 5)});
  Walk walk(root.path());
  FoundPages found;
  uint32_t looks = 2000;
  REQUIRE(swap_walk_next(&walk.walk, kAnySwapType, 16, &found, &looks));
  CHECK(looks == 0);
  CHECK(found.count == 0);
  CHECK(walk.walk.at <= 0x10000 + 4096 * (2000 + kWalkChunk));
}

TEST_CASE("swap walk: files that are no maps") {
  const FakeRoot root;
  Pages wanted;
  SECTION("names longer than the buffer") {
    write_process(root, 5,
                  {third_swapped(mapping(0x10000, 9), wanted, 5),
                   third_swapped(mapping(0x30000, 9), wanted, 5)},
                  "/" + std::string(9000, 'x'));
  }
  SECTION("nonsense") {
    root.write("5/status", "VmSwap: 99999999999999999999 kB\n");
    root.write("5/maps",
               "\n-\nzz-yy rw-p\n10-20\n10000-20000 rw\n20000-10000 rw-p 0\n10001-20002 rw-p\n"
               "ffffffffffffffffffffff-10 rw-p\n10000-30000 rw-p" +
                   std::string(9000, ' '));
    root.write("5/pagemap", std::string(100, '\xff'));
  }
  CHECK(Walk(root.path()).all() == wanted);
}

TEST_CASE("swap walk: of the running kernel's processes, and pages are read without harm") {
  // Its own process it leaves out.
  Walk walk("");
  for (const auto& [pid, address] : walk.all(kAnySwapType, 16, 100'000)) {
    CHECK(pid != getpid());
    CHECK(address % 4096 == 0);
  }
  void* const memory =
      mmap(nullptr, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  const auto begin = reinterpret_cast<uint64_t>(memory);
  REQUIRE(munmap(reinterpret_cast<void*>(begin + 4096), 4096) == 0);
  const FoundPages found{getpid(), 4, {begin, begin + 4096, begin + 8192, begin + 12288}};
  static uint64_t clock_us = 0;
  const auto tick = [] { return clock_us++; };
  CHECK(bring_back_pages(&found, tick, 100) == 3);
  clock_us = 98;  // of time for two, one is gone
  CHECK(bring_back_pages(&found, tick, 100) == 1);
  CHECK(clock_us == 101);
  const FoundPages nobody{0x3ffffff, 1, {begin}};
  CHECK(bring_back_pages(&nobody, tick, 1000) == -ESRCH);
  munmap(memory, 4096);
  munmap(reinterpret_cast<void*>(begin + 8192), 8192);
}

}  // namespace tmem
