// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace tmem::lab {
namespace {

constexpr double kNsPerSecond = 1e9;

double seconds(uint64_t ns) {
  return static_cast<double>(ns) / kNsPerSecond;
}
double mib(uint64_t bytes) {
  return static_cast<double>(bytes) / kMiB;
}

// "-12 %" against `base`; "" for the base itself.
std::string change(uint64_t value, uint64_t base) {
  if (base == 0) return "";
  const double percent = 100.0 * (static_cast<double>(value) / static_cast<double>(base) - 1);
  return fmt::format("{:+.1f} %", percent);
}

nlohmann::json details(const RunResult& result) {
  const GuestCounters& c = result.counters;
  return {{"swap_sectors_read", c.swap_sectors_read},
          {"swap_sectors_written", c.swap_sectors_written},
          {"cleancache_puts", c.cleancache_puts},
          {"cleancache_gets", c.cleancache_gets},
          {"cleancache_hits", c.cleancache_hits},
          {"frontswap_puts", c.frontswap_puts},
          {"frontswap_refused", c.frontswap_refused},
          {"frontswap_hits", c.frontswap_hits},
          {"flushes", c.flushes},
          {"pages_compared", c.pages_compared},
          {"file_pages_evicted", c.file_pages_evicted},
          {"pages_swapped_out", c.pages_swapped_out},
          {"pool_evicted_pages", result.evicted_pages},
          {"ballooned_bytes_peak", result.ballooned_bytes_peak},
          {"dom0_s", seconds(result.dom0_ns)},
          {"disk_busy_s", seconds(result.disk_busy_ns)},
          {"at_apparent_peak",
           {{"real_bytes", result.at_peak.held_bytes},
            {"budget_bytes", result.at_peak.budget_bytes},
            {"pages", result.at_peak.pages},
            {"contents", result.at_peak.contents},
            {"compressed_contents", result.at_peak.compressed_pages}}}};
}

}  // namespace

std::string heading(const Report& report, const Model& model) {
  const Parameters& p = report.parameters;
  const uint32_t guest = scaled_mib(model.guest.memory_mib, p.scale);
  const uint32_t guest_max = scaled_mib(model.guest.memory_max_mib, p.scale);
  const uint32_t fallow = scaled_mib(model.host.fallow_mib, p.scale);
  const auto size = [](uint32_t pages) { return mib(uint64_t{pages} * kPageBytes); };
  return fmt::format(
      "LPC-2010 experiment, SIMULATED: guests, disk and time are modelled; the pages, tmemd and\n"
      "what it stores are real. Every page that came back was compared byte by byte.\n"
      "  seed {}, scale 1/{}, file overlap between guests {} %\n"
      "  files: {} ({} files, {:.1f} MiB), manifest {}\n"
      "  host memory {:.0f} MiB in all configurations: {} guests of {:.0f} MiB (at most {:.0f}), "
      "fallow {:.0f} MiB\n"
      "  the pool, metadata included, has only fallow memory and what the guests gave up\n"
      "  dedup has the scope host: guests can find out by timing what others hold\n",
      p.seed, p.scale, p.overlap_percent, report.files, report.file_count,
      mib(report.manifest.bytes), report.manifest.hash, size(model.host.guests * guest + fallow),
      model.host.guests, size(guest), size(guest_max), size(fallow));
}

std::string table(const Report& report) {
  constexpr std::string_view kRow =
      "{:<23} {:>13} {:>9} {:>13} {:>9} {:>9} {:>9} {:>9} {:>6} {:>10} {:>8} {:>10} {:>8}\n";
  std::string out =
      fmt::format(fmt::runtime(kRow), "configuration", "sectors read", "", "sectors wr.", "",
                  "hits", "real MiB", "apparent", "ratio", "completion", "", "vCPU time", "");
  const RunResult& base = report.results.front().result;
  for (const NamedResult& named : report.results) {
    const RunResult& r = named.result;
    const bool is_base = &r == &base;
    const bool pool = r.real_bytes_peak > 0;
    const double ratio = r.at_peak.held_bytes == 0
                             ? 0
                             : static_cast<double>(r.at_peak.pages * kPageBytes) /
                                   static_cast<double>(r.at_peak.held_bytes);
    const auto relative = [&](uint64_t value, uint64_t to) {
      return is_base ? std::string() : change(value, to);
    };
    out += fmt::format(
        fmt::runtime(kRow), named.name, r.counters.sectors_read,
        relative(r.counters.sectors_read, base.counters.sectors_read), r.counters.sectors_written,
        relative(r.counters.sectors_written, base.counters.sectors_written),
        pool ? fmt::format("{}", r.hits) : "-",
        pool ? fmt::format("{:.1f}", mib(r.real_bytes_peak)) : "-",
        pool ? fmt::format("{:.1f}", mib(r.apparent_bytes_peak)) : "-",
        pool ? fmt::format("{:.2f}", ratio) : "-", fmt::format("{:.1f} s", seconds(r.wall_ns)),
        relative(r.wall_ns, base.wall_ns), fmt::format("{:.1f} s", seconds(r.vcpu_ns)),
        relative(r.vcpu_ns, base.vcpu_ns));
  }
  out +=
      "real, apparent: the pool at its largest; ratio: apparent / real when it appeared largest.\n"
      "Sectors have 512 bytes. Completion and vCPU time (guests and dom0) are simulated.\n";
  return out;
}

nlohmann::json to_json(const Report& report, const Model& model) {
  nlohmann::json configs = nlohmann::json::array();
  for (const NamedResult& named : report.results) {
    const RunResult& r = named.result;
    configs.push_back({{"name", named.name},
                       {"sectors_read", r.counters.sectors_read},
                       {"sectors_written", r.counters.sectors_written},
                       {"hits", r.hits},
                       {"real_bytes_peak", r.real_bytes_peak},
                       {"apparent_bytes_peak", r.apparent_bytes_peak},
                       {"wall_s", seconds(r.wall_ns)},
                       {"vcpu_s", seconds(r.vcpu_ns)},
                       {"host_memory_bytes", r.host_memory_bytes},
                       {"details", details(r)}});
  }
  const Parameters& p = report.parameters;
  return {
      {"experiment", "lpc2010"},
      {"simulated", true},
      {"seed", p.seed},
      {"manifest_hash", report.manifest.hash},
      {"parameters",
       {{"scale", p.scale},
        {"overlap_percent", p.overlap_percent},
        {"rounds", p.rounds},
        {"guests", model.host.guests},
        {"guest_memory_bytes", uint64_t{scaled_mib(model.guest.memory_mib, p.scale)} * kPageBytes},
        {"fallow_bytes", uint64_t{scaled_mib(model.host.fallow_mib, p.scale)} * kPageBytes},
        {"files", report.file_count},
        {"file_bytes", report.manifest.bytes}}},
      {"configs", configs}};
}

}  // namespace tmem::lab
