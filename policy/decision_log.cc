// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/decision_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace tmem::policy {
namespace {

using Json = nlohmann::ordered_json;
constexpr uint32_t kLogVersion = 1;

Json host_json(const HostView& host) {
  return {{"now_ms", host.now_ms},
          {"total_bytes", host.total_bytes},
          {"free_bytes", host.free_bytes},
          {"claims_bytes", host.claims_bytes},
          {"head_room_bytes", host.head_room_bytes},
          {"has_pool", host.has_pool},
          {"pool_held_bytes", host.pool_held_bytes},
          {"pool_freeable_bytes", host.pool_freeable_bytes}};
}

HostView host_of(const Json& json) {
  HostView host;
  json.at("now_ms").get_to(host.now_ms);
  json.at("total_bytes").get_to(host.total_bytes);
  json.at("free_bytes").get_to(host.free_bytes);
  json.at("claims_bytes").get_to(host.claims_bytes);
  json.at("head_room_bytes").get_to(host.head_room_bytes);
  json.at("has_pool").get_to(host.has_pool);
  json.at("pool_held_bytes").get_to(host.pool_held_bytes);
  json.at("pool_freeable_bytes").get_to(host.pool_freeable_bytes);
  return host;
}

Json facts_json(const GuestFacts& facts) {
  const PoolUse& pool = facts.pool;
  return {{"id", static_cast<uint32_t>(facts.id)},
          {"min_bytes", facts.settings.min_bytes},
          {"max_bytes", facts.settings.max_bytes},
          {"weight", facts.settings.weight},
          {"priority", facts.settings.priority},
          {"actual_bytes", facts.actual_bytes},
          {"target_bytes", facts.target_bytes},
          {"first_bytes", facts.first_bytes},
          {"has_reported", facts.has_reported},
          {"can_balloon", facts.can_balloon},
          {"has_client", pool.has_client},
          {"persistent_pages", pool.persistent_pages},
          {"ephemeral_pages", pool.ephemeral_pages},
          {"charged_bytes", pool.charged_bytes},
          {"persistent_puts", pool.persistent_puts},
          {"persistent_gets", pool.persistent_gets},
          {"ephemeral_puts", pool.ephemeral_puts},
          {"ephemeral_hits", pool.ephemeral_hits},
          {"ephemeral_misses", pool.ephemeral_misses}};
}

GuestFacts facts_of(const Json& json) {
  GuestFacts facts;
  facts.id = GuestId{json.at("id").get<uint32_t>()};
  json.at("min_bytes").get_to(facts.settings.min_bytes);
  json.at("max_bytes").get_to(facts.settings.max_bytes);
  json.at("weight").get_to(facts.settings.weight);
  json.at("priority").get_to(facts.settings.priority);
  json.at("actual_bytes").get_to(facts.actual_bytes);
  json.at("target_bytes").get_to(facts.target_bytes);
  json.at("first_bytes").get_to(facts.first_bytes);
  json.at("has_reported").get_to(facts.has_reported);
  json.at("can_balloon").get_to(facts.can_balloon);
  json.at("has_client").get_to(facts.pool.has_client);
  json.at("persistent_pages").get_to(facts.pool.persistent_pages);
  json.at("ephemeral_pages").get_to(facts.pool.ephemeral_pages);
  json.at("charged_bytes").get_to(facts.pool.charged_bytes);
  json.at("persistent_puts").get_to(facts.pool.persistent_puts);
  json.at("persistent_gets").get_to(facts.pool.persistent_gets);
  json.at("ephemeral_puts").get_to(facts.pool.ephemeral_puts);
  json.at("ephemeral_hits").get_to(facts.pool.ephemeral_hits);
  json.at("ephemeral_misses").get_to(facts.pool.ephemeral_misses);
  return facts;
}

Json estimate_json(const Estimate& estimate, const std::string& complaint) {
  const Rates& rates = estimate.rates;
  Json json = {{"report", name_of(estimate.report)},
               {"age_ms", estimate.sample_age_ms},
               {"urgent", estimate.urgent},
               {"some_ratio", rates.some_ratio},
               {"full_ratio", rates.full_ratio},
               {"refault_pages_per_s", rates.refault_pages},
               {"swap_in_pages_per_s", rates.swap_in_pages},
               {"persistent_puts_per_s", rates.persistent_puts},
               {"persistent_gets_per_s", rates.persistent_gets},
               {"ephemeral_puts_per_s", rates.ephemeral_puts},
               {"ephemeral_hits_per_s", rates.ephemeral_hits}};
  if (!complaint.empty()) json["complaint"] = complaint;
  return json;
}

std::string guest_line(const TickRecord& record, const GuestRecord& guest) {
  Json json = {{"tick", record.number},
               {"guests", record.guests.size()},
               {"host", host_json(record.host)},
               {"guest", facts_json(guest.input.facts)}};
  if (guest.input.report) json["report"] = as_logged(*guest.input.report);
  json["estimate"] = estimate_json(guest.estimate, guest.complaint);
  if (guest.wish)
    json["plan"] = {{"wish_bytes", guest.wish->target_bytes}, {"reason", guest.wish->reason}};
  json["target_bytes"] = guest.bounded.target_bytes;
  json["bound"] = name_of(guest.bounded.bound);
  return json.dump() + "\n";
}

// The lines of one tick as they stand in a log, and the inputs they tell of.
struct Block {
  uint64_t first_line = 0;
  HostView host;
  std::vector<GuestInput> inputs;
  std::string text;
};

class Replayer {
 public:
  // `text` ends with '\n'.
  Result<void> take(uint64_t number, const std::string& text) {
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) return malformed(number, "is no JSON");
    try {
      if (json.contains("start")) return start(number, json.at("start"));
      if (!loop_) return malformed(number, "comes before any start line");
      if (block_.inputs.empty()) {
        block_.first_line = number;
        block_.host = host_of(json.at("host"));
      }
      GuestInput input;
      input.facts = facts_of(json.at("guest"));
      if (json.contains("report")) input.report = json.at("report").get<std::string>();
      block_.inputs.push_back(std::move(input));
      block_.text += text;
      if (block_.inputs.size() == json.at("guests").get<size_t>()) run();
    } catch (const Json::exception& error) {
      return malformed(number, error.what());
    }
    return {};
  }
  const ReplayResult& result() const { return result_; }

 private:
  static tl::unexpected<Error> malformed(uint64_t number, const std::string& why) {
    return fail(Errc::kMalformed, fmt::format("line {} of the decision log {}", number, why));
  }
  // The tick that was read is whole.
  void run() {
    const std::string now = tick_lines(loop_->tick(block_.host, block_.inputs));
    ++result_.ticks;
    result_.lines += block_.inputs.size();
    if (now != block_.text) {
      ++result_.different;
      if (result_.first_difference.empty())
        result_.first_difference =
            fmt::format("line {}:\nlogged {}now    {}", block_.first_line, block_.text, now);
    }
    block_ = {};
  }
  Result<void> start(uint64_t number, const Json& json) {
    block_ = {};
    if (json.at("version").get<uint32_t>() != kLogVersion)
      return malformed(number, "has a version that this program does not know");
    auto loop = Loop::create(json.at("strategy").get<std::string>(), json.at("knob").get<double>());
    if (!loop) return malformed(number, "names no strategy: " + loop.error().message);
    loop_ = *std::move(loop);
    return {};
  }

  std::optional<Loop> loop_;
  Block block_;
  ReplayResult result_;
};

}  // namespace

std::string as_logged(std::string report) {
  report.resize(std::min(report.size(), kReportBytesMax + 1));
  for (char& c : report)
    if (c < ' ' || c > '~') c = '?';
  return report;
}

std::string start_line(const Loop& loop) {
  const Json json = {
      {"start", {{"version", kLogVersion}, {"strategy", loop.strategy()}, {"knob", loop.knob()}}}};
  return json.dump() + "\n";
}

std::string tick_lines(const TickRecord& record) {
  std::string lines;
  for (const GuestRecord& guest : record.guests) lines += guest_line(record, guest);
  return lines;
}

Result<ReplayResult> replay(std::istream& log) {
  Replayer replayer;
  std::string line;
  uint64_t number = 0;
  while (std::getline(log, line)) {
    if (log.eof()) break;  // without its end
    TMEM_CHECK(replayer.take(++number, line + "\n"));
  }
  return replayer.result();
}

}  // namespace tmem::policy
