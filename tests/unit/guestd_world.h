// SPDX-License-Identifier: GPL-2.0-or-later
// A guest's /proc as files of the test's.
#pragma once
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

namespace tmem {

inline const std::string kMeminfo =
    "MemTotal:         262144 kB\nMemFree:           20480 kB\nMemAvailable:      80000 kB\n"
    "Buffers:            5000 kB\nCached:            65000 kB\nSwapCached:          111 kB\n"
    "SwapTotal:          4096 kB\nSwapFree:           4000 kB\nAnonPages:         90000 kB\n"
    "Shmem:              1000 kB\nCommitted_AS:     140000 kB\n";
inline const std::string kVmstat =
    "nr_free_pages 1\nworkingset_refault_anon 7\nworkingset_refault_file 120\npswpin 3\npswpout "
    "4\n";
inline const std::string kPressure =
    "some avg10=0.00 avg60=0.12 avg300=0.00 total=1200\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=300\n";
// Two zones and one without memory. By hand: min(1900 + 18, 3840) + min(300 + 600 - 100, 500) =
// 2418.
inline const std::string kZoneinfo =
    "Node 0, zone      DMA\n  per-node stats\n      nr_inactive_anon 1\n  pages free     3840\n"
    "        boost    0\n        min      12\n        low      15\n        high     18\n"
    "        managed  3840\n        protection: (0, 1000, 1900)\n  pagesets\n    cpu: 0\n"
    "              count: 7\n              high:  99999\n"
    "Node 0, zone    DMA32\n  pages free     400\n        boost    100\n        min      300\n"
    "        high     600\n        managed  500\n        protection: (0, 0, 300)\n"
    "Node 0, zone  Movable\n  pages free     0\n        high     0\n        managed  0\n"
    "        protection: (0, 0, 0)\n";

// A directory that stands for / of a guest.
class FakeRoot {
 public:
  FakeRoot() {
    std::string name = "/tmp/guestd.XXXXXX";
    REQUIRE(mkdtemp(name.data()));
    path_ = name;
    write("meminfo", kMeminfo);
    write("vmstat", kVmstat);
    write("zoneinfo", kZoneinfo);
    write("uptime", "81234.56 1.00\n");
    write("pressure/memory", kPressure);
  }
  ~FakeRoot() { std::filesystem::remove_all(path_); }
  // Below proc.
  void write(const std::string& file, const std::string& text) const {
    const auto name = path_ / "proc" / file;
    std::filesystem::create_directories(name.parent_path());
    std::ofstream(name) << text;
  }
  void remove(const std::string& file) { std::filesystem::remove_all(path_ / "proc" / file); }
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace tmem
