// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace tmem::lab::policies {
namespace {

constexpr std::string_view kRow =
    "{:<22} {:>8} {:<16} {:<4} {:>10} {:>10} {:>9} {:>6} {:>10} {:>8} {:>10} {:>9} {:>9}\n";

std::string or_dash(const std::optional<double>& value) {
  return value ? fmt::format("{:.0f}", *value) : "-";
}

std::string header() {
  return fmt::format(fmt::runtime(kRow), "policy", "knob", "scenario", "pool", "stall_some",
                     "stall_full", "freed_MiB", "freed", "disk_reads", "burst_ms", "balloon_ms",
                     "starved_s", "moved/min");
}

std::string line(const Contender& contender, std::string_view scenario, bool pool,
                 const RunResult& r) {
  return fmt::format(
      fmt::runtime(kRow), contender.policy, fmt::format("{:g}", contender.knob), scenario,
      pool ? "on" : "off", fmt::format("{:.4f} %", 100 * r.stall_some),
      fmt::format("{:.4f} %", 100 * r.stall_full), fmt::format("{:.0f}", r.freed_bytes / kMiB),
      fmt::format("{:.0f} %", 100 * r.freed_ratio), r.disk_reads, or_dash(r.burst_ms),
      or_dash(r.burst_balloon_ms), fmt::format("{:.1f}", r.starved_s),
      fmt::format("{:.1f}", r.targets_moved_per_min));
}

// The mean of optional figures is over the runs that have one.
struct MeanOf {
  double sum = 0;
  double count = 0;
  void add(const std::optional<double>& value) {
    if (!value) return;
    sum += *value;
    ++count;
  }
  std::optional<double> mean() const {
    return count > 0 ? std::optional<double>(sum / count) : std::nullopt;
  }
};

RunResult mean_of(const std::vector<const RunResult*>& results) {
  RunResult mean;
  MeanOf burst;
  MeanOf balloon;
  const auto count = static_cast<double>(results.size());
  for (const RunResult* r : results) {
    mean.stall_some += r->stall_some / count;
    mean.stall_full += r->stall_full / count;
    mean.freed_bytes += r->freed_bytes / count;
    mean.freed_ratio += r->freed_ratio / count;
    mean.disk_reads += r->disk_reads;
    mean.starved_s += r->starved_s / count;
    mean.starved_all_s += r->starved_all_s / count;
    mean.targets_moved_per_min += r->targets_moved_per_min / count;
    burst.add(r->burst_ms);
    balloon.add(r->burst_balloon_ms);
  }
  mean.disk_reads /= std::max<uint64_t>(1, results.size());
  mean.burst_ms = burst.mean();
  mean.burst_balloon_ms = balloon.mean();
  return mean;
}

nlohmann::json optional_json(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

nlohmann::json row_json(const Evaluation& evaluation, const Row& row) {
  const RunResult& r = row.result;
  const Scenario& scenario = evaluation.scenarios[row.scenario];
  nlohmann::json guests = nlohmann::json::array();
  for (const GuestResult& guest : r.guests)
    guests.push_back({{"stall_some", guest.stall_some},
                      {"stall_full", guest.stall_full},
                      {"freed_bytes", guest.freed_bytes},
                      {"starved_s", guest.starved_s},
                      {"disk_reads", guest.disk_reads}});
  return {{"policy", row.contender.policy},
          {"knob", row.contender.knob},
          {"default_knob", row.contender.is_default},
          {"scenario", scenario.name},
          {"family", scenario.family},
          {"pool", row.pool},
          {"stall_some", r.stall_some},
          {"stall_full", r.stall_full},
          {"freed_bytes", r.freed_bytes},
          {"freed_ratio", r.freed_ratio},
          {"lent_bytes", r.lent_bytes},
          {"disk_reads", r.disk_reads},
          {"burst_ms", optional_json(r.burst_ms)},
          {"burst_balloon_ms", optional_json(r.burst_balloon_ms)},
          {"bursts", r.bursts},
          {"bursts_in_time", r.bursts_in_time},
          {"bursts_balloon_in_time", r.bursts_balloon_in_time},
          {"starved_s", r.starved_s},
          {"starved_all_s", r.starved_all_s},
          {"targets_moved_per_min", r.targets_moved_per_min},
          {"guests", std::move(guests)}};
}

nlohmann::json constants_json(const Constants& c) {
  return {{"tick_ms", kTickMs},
          {"chunk_pages", kChunkPages},
          {"disk_latency_us", c.disk.latency_us},
          {"disk_page_us", c.disk.page_us},
          {"pool_put_page_us", c.pool.put_page_us},
          {"pool_get_page_us", c.pool.get_page_us},
          {"pool_round_trip_us", c.pool.round_trip_us},
          {"balloon_up_mib_s", c.balloon.up_mib_s},
          {"balloon_down_mib_s", c.balloon.down_mib_s},
          {"write_back_mib_s", c.write_back.guest_mib_s},
          {"lru_error_ratio", c.guest.lru_error_ratio}};
}

nlohmann::json curve_json(const Curve& curve) {
  nlohmann::json points = nlohmann::json::array();
  for (const Point& point : curve.points)
    points.push_back({{"knob", point.knob},
                      {"freed_ratio", point.freed_ratio},
                      {"stall_some", point.stall_some}});
  return {{"policy", curve.policy},
          {"family", curve.family},
          {"pool", curve.pool},
          {"points", std::move(points)}};
}

nlohmann::json comparison_json(const Comparison& c) {
  return {{"policy", c.policy},
          {"family", c.family},
          {"pool", c.pool},
          {"freed_low", c.freed_low},
          {"freed_high", c.freed_high},
          {"stall_some", c.stall},
          {"ours_stall_some", c.ours_stall},
          {"points", c.points},
          {"ours_better", c.ours_better},
          {"unreached", c.unreached}};
}

}  // namespace

std::string rows_table(const Evaluation& evaluation) {
  std::string out = header();
  for (const Row& row : evaluation.rows)
    out += line(row.contender, evaluation.scenarios[row.scenario].name, row.pool, row.result);
  return out;
}

std::string summary_table(const Evaluation& evaluation) {
  std::string out = header();
  for (const bool pool : {false, true}) {
    for (size_t i = 0; i < evaluation.contenders.size(); ++i) {
      std::vector<const RunResult*> results;
      for (size_t row = 0; row < evaluation.rows.size(); ++row)
        if (row / 2 % evaluation.contenders.size() == i && evaluation.rows[row].pool == pool)
          results.push_back(&evaluation.rows[row].result);
      out += line(evaluation.contenders[i], "mean", pool, mean_of(results));
    }
  }
  return out;
}

std::string comparison_table(const std::vector<Comparison>& comparisons, const std::string& ours) {
  constexpr std::string_view kLine = "{:<22} {:<14} {:<4} {:>13} {:>12} {:>12} {:>7} {:>7} {:>9}\n";
  const auto percent = [](const Comparison& c, double stall) {
    return c.unreached == c.points ? std::string("-") : fmt::format("{:.4f} %", 100 * stall);
  };
  std::string out = fmt::format(fmt::runtime(kLine), "policy", "family", "pool", "freed",
                                "stall_some", ours, "points", "better", "unreached");
  for (const Comparison& c : comparisons)
    out += fmt::format(fmt::runtime(kLine), c.policy, c.family, c.pool ? "on" : "off",
                       fmt::format("{:.0f} .. {:.0f} %", 100 * c.freed_low, 100 * c.freed_high),
                       percent(c, c.stall), percent(c, c.ours_stall), c.points, c.ours_better,
                       c.unreached);
  return out;
}

nlohmann::json to_json(const Evaluation& evaluation, const Constants& constants,
                       const std::vector<Curve>& curves,
                       const std::vector<Comparison>& comparisons) {
  nlohmann::json scenarios = nlohmann::json::array();
  for (const Scenario& scenario : evaluation.scenarios)
    scenarios.push_back({{"name", scenario.name},
                         {"family", scenario.family},
                         {"guests", scenario.guests.size()},
                         {"host_bytes", scenario.host_pages * kPageBytes},
                         {"duration_s", scenario.duration_ms / 1000},
                         {"pool_ratio", scenario.pool_ratio}});
  nlohmann::json rows = nlohmann::json::array();
  for (const Row& row : evaluation.rows) rows.push_back(row_json(evaluation, row));
  nlohmann::json tradeoff = nlohmann::json::array();
  for (const Curve& curve : curves) tradeoff.push_back(curve_json(curve));
  nlohmann::json against = nlohmann::json::array();
  for (const Comparison& comparison : comparisons) against.push_back(comparison_json(comparison));
  return {{"experiment", "policies"},          {"simulated", true},
          {"seed", evaluation.seed},           {"constants", constants_json(constants)},
          {"scenarios", std::move(scenarios)}, {"rows", std::move(rows)},
          {"tradeoff", std::move(tradeoff)},   {"comparison", std::move(against)}};
}

}  // namespace tmem::lab::policies
