// SPDX-License-Identifier: GPL-2.0-or-later
// The head-room, and the guests' configurations that it follows.
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "libtmem/base/units.h"
#include "tmemd/fallow/head_room.h"

namespace tmem::fallow {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "tmem-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path_); }
  std::string path() const { return path_.string(); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
  }

 private:
  fs::path path_;
};

}  // namespace

TEST_CASE("head-room: bytes, percent, or the larger of 5 % and the largest guest") {
  using Kind = HeadRoom::Kind;
  CHECK(head_room_bytes({Kind::kBytes, 7 * kMiB}, kGiB, 0) == 7 * kMiB);
  CHECK(head_room_bytes({Kind::kPercent, 10}, 1000 * kMiB, 0) == 100 * kMiB);
  CHECK(head_room_bytes({}, 1000 * kMiB, 0) == 50 * kMiB);
  CHECK(head_room_bytes({}, 1000 * kMiB, 20 * kMiB) == 50 * kMiB);
  CHECK(head_room_bytes({}, 1000 * kMiB, 300 * kMiB) == 300 * kMiB);
  CHECK(head_room_bytes({}, 1000 * kMiB, 900 * kMiB) == 500 * kMiB);
}

TEST_CASE("head-room: the memory of a guest's configuration") {
  const auto fixed = guest_bytes("memory = 1000");
  REQUIRE(fixed);
  CHECK(*fixed == (1000 + 20 + 8) * kMiB);
  CHECK(guest_bytes("name = 'a'\nmemory=\"1000\"  # comment\nmaxmem=2000\n") == fixed);
  CHECK(guest_bytes(" memory = 10;\nmemory = 1000\r\n") == fixed);  // the last one holds
  CHECK_FALSE(guest_bytes("#memory = 1000"));
  CHECK_FALSE(guest_bytes("memory = lots"));
  CHECK_FALSE(guest_bytes("memory = -5"));
  CHECK_FALSE(guest_bytes("memory = 99999999999999999999999"));
  CHECK_FALSE(guest_bytes("memory = 1e3"));
  CHECK_FALSE(guest_bytes("xmemory = 1000\nmemory"));
  CHECK_FALSE(guest_bytes(""));
}

TEST_CASE("head-room: the largest of the guests in some directories") {
  const Folder one;
  const Folder two;
  one.write("small.cfg", "memory = 100");
  one.write("xl.conf", "autoballoon = 0");
  one.write("binary", std::string(1000, '\0') + "memory");
  two.write("big.cfg", "memory = 700");
  fs::create_directory(fs::path(two.path()) / "below");
  CHECK(largest_guest_bytes({one.path(), two.path(), "/nowhere"}) == guest_bytes("memory=700"));
  CHECK(largest_guest_bytes({one.path()}) == guest_bytes("memory=100"));
  CHECK(largest_guest_bytes({}) == 0);
}

}  // namespace tmem::fallow
