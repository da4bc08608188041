// SPDX-License-Identifier: GPL-2.0-or-later
// tmem-guestd: /proc read into a sample, and what of it dom0 parses.
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "libtmem/base/units.h"
#include "policy/report.h"
#include "tests/unit/guestd_world.h"
#include "tools/tmem-guestd/report.h"
#include "tools/tmem-guestd/reserve.h"
#include "tools/tmem-guestd/sample.h"

namespace tmem {
namespace {

struct Reading {
  bool done = false;
  std::string lacking;
  GuestSample sample{};
};

Reading read_below(const FakeRoot& root) {
  Reading reading;
  SampleSource source;
  if (!open_samples(&source, root.path().c_str())) return reading;
  const char* lacking = "";
  reading.done = read_sample(&source, &reading.sample, &lacking);
  reading.lacking = lacking;
  for (const int file :
       {source.meminfo, source.vmstat, source.zoneinfo, source.uptime, source.pressure})
    if (file >= 0) close(file);
  return reading;
}

std::string text_of(const GuestSample& sample) {
  char text[kReportSize];
  format_guest_report(text, &sample, 17, 2, true);
  return text;
}

std::string without(std::string text, const std::string& line) {
  const size_t at = text.find(line);
  REQUIRE(at != std::string::npos);
  return text.erase(at, text.find('\n', at) - at + 1);
}

}  // namespace

TEST_CASE("guestd: dom0 parses what was read of /proc") {
  const FakeRoot root;
  const Reading reading = read_below(root);
  REQUIRE(reading.done);
  const auto sample = policy::parse_report(text_of(reading.sample));
  REQUIRE(sample);
  CHECK(sample->sequence == 17);
  CHECK(sample->uptime_ms == 81234560);
  CHECK(sample->total_bytes == 256 * kMiB);
  CHECK(sample->free_bytes == 20 * kMiB);
  CHECK(sample->available_bytes == 80000 * kKiB);
  CHECK(sample->cache_bytes == 70000 * kKiB);
  CHECK(sample->anon_bytes == 90000 * kKiB);
  CHECK(sample->committed_bytes == 140000 * kKiB);
  CHECK(sample->reserve_bytes == 2418 * 4 * kKiB);
  CHECK(sample->swap_used_bytes == 96 * kKiB);
  CHECK(sample->swap_free_bytes == 4000 * kKiB);
  CHECK(sample->refault_pages == 120);
  CHECK(sample->swap_in_pages == 3);
  REQUIRE(sample->pressure);
  CHECK(sample->pressure->some_us == 1200);
  CHECK(sample->pressure->full_us == 300);
  CHECK(text_of(reading.sample).find(" urgent=2 back=0 mode=1") != std::string::npos);
}

TEST_CASE("guestd: files and fields that a kernel lacks") {
  FakeRoot root;
  SECTION("without PSI both of its keys are left out") {
    root.remove("pressure/memory");
    const auto sample = policy::parse_report(text_of(read_below(root).sample));
    REQUIRE(sample);
    CHECK_FALSE(sample->pressure);
  }
  SECTION("an old kernel's names") {
    root.write("meminfo", without(kMeminfo, "MemAvailable"));
    root.write("vmstat", "workingset_refault 55\n");
    const Reading reading = read_below(root);
    REQUIRE(reading.done);
    CHECK(reading.sample.available_kib == 20480 + 70000 - 1000);
    CHECK(reading.sample.refault_pages == 55);
    CHECK(reading.sample.swap_in_pages == 0);
  }
  SECTION("what nothing can be said without") {
    for (const std::string field : {"MemTotal", "MemFree", "AnonPages", "Committed_AS"}) {
      root.write("meminfo", without(kMeminfo, field + ":"));
      const Reading reading = read_below(root);
      CHECK_FALSE(reading.done);
      CHECK(reading.lacking == field);
    }
    root.write("meminfo", "MemTotal: lots\nMemFree: -5 kB\n");
    CHECK(read_below(root).lacking == "MemTotal");
    root.write("meminfo", "");
    CHECK(read_below(root).lacking == "MemTotal");
    root.remove("meminfo");
    CHECK_FALSE(read_below(root).done);
  }
  SECTION("the rest") {
    root.remove("vmstat");
    root.remove("zoneinfo");
    const Reading reading = read_below(root);
    REQUIRE(reading.done);
    CHECK(reading.sample.reserve_kib == 0);
    CHECK(policy::parse_report(text_of(reading.sample)));
  }
}

TEST_CASE("guestd: numbers without measure still make a report that dom0 takes") {
  FakeRoot root;
  const std::string huge = "99999999999999999999999";
  std::string meminfo, vmstat, zoneinfo;
  for (const char* field : {"MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal",
                            "AnonPages", "Committed_AS"})
    meminfo += std::string(field) + ": " + huge + " kB\n";
  root.write("meminfo", meminfo + std::string(100000, 'x'));
  root.write("vmstat", "workingset_refault_file " + huge + "\npswpin " + huge + "\n");
  root.write("zoneinfo", "Node 0, zone X\n high " + huge + "\n managed " + huge +
                             "\n protection: (" + huge + ", " + huge + ")\nNode 1, zone Y\n high " +
                             huge + "\n managed " + huge + "\n");
  root.write("uptime", huge + "." + huge);
  root.write("pressure/memory", "some total=" + huge + "\nfull total=" + huge + "\n");
  const Reading reading = read_below(root);
  REQUIRE(reading.done);
  const std::string text = text_of(reading.sample);
  CHECK(text.size() <= policy::kReportBytesMax);
  const auto sample = policy::parse_report(text);
  REQUIRE(sample);
  CHECK(sample->total_bytes == uint64_t{1} << 54);
  CHECK(sample->reserve_bytes == uint64_t{1} << 54);
}

TEST_CASE("guestd: lines longer than the buffer are no way round it") {
  FakeRoot root;
  root.write("meminfo", std::string(70000, 'M') + "\n" + kMeminfo);
  CHECK(read_below(root).sample.total_kib == 262144);
}

TEST_CASE("guestd: the running kernel's own files") {
  SampleSource source;
  REQUIRE(open_samples(&source, ""));
  GuestSample sample;
  const char* lacking = "";
  REQUIRE(read_sample(&source, &sample, &lacking));
  CHECK(sample.total_kib > 0);
  CHECK(sample.reserve_kib > 0);
  CHECK(sample.reserve_kib < sample.total_kib);
  CHECK(policy::parse_report(text_of(sample)));
}

}  // namespace tmem
