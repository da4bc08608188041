// SPDX-License-Identifier: GPL-2.0-or-later
// A report is text that a guest wrote.
#include <catch2/catch.hpp>

#include "libtmem/base/units.h"
#include "policy/report.h"

namespace tmem::policy {
namespace {

const std::string kGood =
    "1 seq=17 up_ms=81234 total_kib=262144 free_kib=20480 avail_kib=80000 cache_kib=70000 "
    "anon_kib=90000 commit_kib=140000 reserve_kib=9000 swap_kib=5 refault=120 swapin=3 "
    "some_us=1200 full_us=300";

std::string with(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::string error_of(const std::string& text) {
  const auto sample = parse_report(text);
  return sample ? "" : sample.error().message;
}

}  // namespace

TEST_CASE("policy report: every key reaches its place") {
  const auto sample = parse_report(kGood);
  REQUIRE(sample);
  CHECK(sample->sequence == 17);
  CHECK(sample->uptime_ms == 81234);
  CHECK(sample->total_bytes == 256 * kMiB);
  CHECK(sample->free_bytes == 20 * kMiB);
  CHECK(sample->available_bytes == 80000 * kKiB);
  CHECK(sample->cache_bytes == 70000 * kKiB);
  CHECK(sample->anon_bytes == 90000 * kKiB);
  CHECK(sample->committed_bytes == 140000 * kKiB);
  CHECK(sample->reserve_bytes == 9000 * kKiB);
  CHECK(sample->swap_used_bytes == 5 * kKiB);
  CHECK(sample->refault_pages == 120);
  CHECK(sample->swap_in_pages == 3);
  REQUIRE(sample->pressure);
  CHECK(sample->pressure->some_us == 1200);
  CHECK(sample->pressure->full_us == 300);
  CHECK(format_report(*sample) == kGood);
}

TEST_CASE("policy report: a kernel without PSI, and keys of a later agent") {
  const auto sample = parse_report(with(" some_us=1200 full_us=300", " later=abc x_1="));
  REQUIRE(sample);
  CHECK_FALSE(sample->pressure);
  CHECK_FALSE(sample->balloons_itself);
  CHECK_FALSE(sample->swap_free_bytes);
  const auto more = parse_report(kGood + " urgent=7 mode=1 swap_free_kib=9");
  REQUIRE(more);
  CHECK(more->swap_free_bytes == 9 * kKiB);
  CHECK(parse_report(format_report(*more))->swap_free_bytes == 9 * kKiB);
  CHECK(more->urgent == 7);
  CHECK(more->balloons_itself);
  CHECK_FALSE(parse_report(kGood + " mode=2"));
}

TEST_CASE("policy report: the error names what is wrong") {
  CHECK(error_of("").find("version") != std::string::npos);
  CHECK(error_of("2" + kGood.substr(1)).find("version") != std::string::npos);
  CHECK(error_of("1 seq=17").find("up_ms") != std::string::npos);
  CHECK(error_of(with(" full_us=300", "")).find("only one") != std::string::npos);
  CHECK(error_of(with("swapin=3", "seq=3")).find("twice") != std::string::npos);
  CHECK(error_of(with("seq=17", "seq=-1")).find("character") != std::string::npos);
  CHECK(error_of(with("seq=17", "seq=")).find("seq") != std::string::npos);
  CHECK(error_of(with("seq=17", "seq=1x")).find("seq") != std::string::npos);
  CHECK(error_of(with("seq=17", "=17")).find("key=value") != std::string::npos);
  CHECK(error_of(with("seq=17 ", "seq=17  ")).find("key=value") != std::string::npos);
  CHECK(error_of(with("seq=17", "seq=99999999999999999999")).find("seq") != std::string::npos);
  CHECK(error_of(with("total_kib=262144", "total_kib=17592186044417")).find("total_kib") !=
        std::string::npos);
  CHECK(error_of(with("seq=17", std::string("seq=1\0", 6))).find("character") != std::string::npos);
  CHECK(error_of(kGood + std::string(kReportBytesMax, ' ')).find("512") != std::string::npos);
}

TEST_CASE("policy report: the longest there can be fits") {
  Sample most;
  most.sequence = most.uptime_ms = most.urgent = most.refault_pages = most.swap_in_pages =
      uint64_t{1} << 62;
  most.total_bytes = most.free_bytes = most.available_bytes = most.cache_bytes = most.anon_bytes =
      most.committed_bytes = most.reserve_bytes = most.swap_used_bytes = uint64_t{1} << 54;
  most.balloons_itself = true;
  most.pressure = Pressure{uint64_t{1} << 62, uint64_t{1} << 62};
  CHECK(format_report(most).size() <= kReportBytesMax);
  CHECK(parse_report(format_report(most)));
}

}  // namespace tmem::policy
