// SPDX-License-Identifier: GPL-2.0-or-later
// Bytes -> the reports that one guest writes, a line a second, beside an honest guest. Whatever it
// writes: a sample survives being written and read again, targets stay within the guest's bounds
// and the host, and the record of each tick is lines of JSON.
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>

#include "libtmem/base/assert.h"
#include "libtmem/base/units.h"
#include "policy/decision_log.h"
#include "policy/loop.h"

namespace {

using namespace tmem;
using namespace tmem::policy;

constexpr uint64_t kHostBytes = 1024 * kMiB;
constexpr uint64_t kHeadRoomBytes = 64 * kMiB;
constexpr int kTicksMax = 64;

GuestInput guest(uint32_t id, uint64_t actual_bytes) {
  GuestInput input;
  input.facts.id = GuestId{id};
  input.facts.settings.min_bytes = 128 * kMiB;
  input.facts.settings.max_bytes = 768 * kMiB;
  input.facts.actual_bytes = input.facts.target_bytes = actual_bytes;
  return input;
}

std::string honest_report(uint64_t tick, uint64_t total_bytes) {
  Sample sample;
  sample.sequence = tick;
  sample.uptime_ms = tick * 1000;
  sample.total_bytes = total_bytes;
  sample.available_bytes = total_bytes / 4;
  sample.committed_bytes = total_bytes / 2;
  sample.pressure.emplace();
  return format_report(sample);
}

void check_parser(std::string_view text) {
  const auto sample = parse_report(text);
  if (!sample) {
    TMEM_ASSERT(sample.error().code == Errc::kMalformed && !sample.error().message.empty());
    TMEM_ASSERT(sample.error().message.size() < 200);
    return;
  }
  TMEM_ASSERT(text.size() <= kReportBytesMax);
  const std::string again = format_report(*sample);
  const auto same = parse_report(again);
  TMEM_ASSERT(same.has_value() && format_report(*same) == again);
}

void check_tick(const TickRecord& tick) {
  uint64_t sum = 0;
  for (const GuestRecord& record : tick.guests) {
    const GuestSettings& settings = record.input.facts.settings;
    const uint64_t target = record.bounded.target_bytes;
    TMEM_ASSERT(target >= settings.min_bytes && target <= settings.max_bytes);
    sum += target;
    TMEM_ASSERT(record.estimate.rates.some_ratio >= 0 && record.estimate.rates.some_ratio <= 1);
  }
  TMEM_ASSERT(sum <= kHostBytes - kHeadRoomBytes);
  std::istringstream lines(tick_lines(tick));
  for (std::string line; std::getline(lines, line);)
    TMEM_ASSERT(nlohmann::json::parse(line, nullptr, false).is_object());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  auto loop = Loop::create("selfballoon+psi", std::nullopt);
  TMEM_ASSERT(loop.has_value());
  uint64_t actual[2] = {400 * kMiB, 400 * kMiB};
  for (uint64_t tick = 1; tick <= kTicksMax && !rest.empty(); ++tick) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    GuestInput liar = guest(1, actual[0]);
    liar.report = std::string(rest.substr(0, end));
    check_parser(*liar.report);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    GuestInput honest = guest(2, actual[1]);
    honest.report = honest_report(tick, actual[1]);
    HostView host;
    host.now_ms = tick * 1000;
    host.total_bytes = kHostBytes;
    host.head_room_bytes = kHeadRoomBytes;
    host.pool_held_bytes = host.pool_freeable_bytes = 64 * kMiB;
    const std::vector inputs = {liar, honest};
    const TickRecord& record = loop->tick(host, inputs);
    check_tick(record);
    for (size_t i = 0; i < 2; ++i) actual[i] = record.guests[i].bounded.target_bytes;
  }
  return 0;
}
