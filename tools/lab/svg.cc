// SPDX-License-Identifier: GPL-2.0-or-later
// The plot: per configuration, sectors read and written; and the pool, real beside apparent.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/lab/report.h"

namespace tmem::lab {
namespace {

constexpr int kWidth = 1120;
constexpr int kHeight = 560;
constexpr int kTop = 112;
constexpr int kBottom = 452;

struct Series {
  std::string name;
  std::string colour;
};

struct Group {
  std::string label;
  std::vector<double> values;
};

struct Panel {
  int left = 0;
  int right = 0;
  std::string title;
  std::string unit;
  std::vector<Series> series;
  std::vector<Group> groups;
};

// The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `least`.
double nice_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (factor * power >= least) return factor * power;
  }
  return 10 * power;
}

std::string number(double value) {
  return value >= 100 || value == std::floor(value) ? fmt::format("{:.0f}", value)
                                                    : fmt::format("{:.1f}", value);
}

std::string text(double x, double y, const std::string& attributes, const std::string& content) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, attributes, content);
}

std::string axis(const Panel& panel, double step, int steps) {
  std::string out;
  for (int i = 0; i <= steps; ++i) {
    const double y = kBottom - static_cast<double>(kBottom - kTop) * i / steps;
    out += fmt::format("<line x1=\"{}\" y1=\"{:.1f}\" x2=\"{}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n",
                       panel.left, y, panel.right, y, i == 0 ? "#444" : "#e2e2e2");
    out += text(panel.left - 8, y + 4, "class=\"tick\" text-anchor=\"end\"", number(step * i));
  }
  return out;
}

// "tmem+dedup+compression" on lines of its own, each at most one word.
std::string label(double x, const std::string& name) {
  std::string out;
  double y = kBottom + 20;
  for (size_t at = 0; at < name.size();) {
    const size_t plus = std::min(name.find('+', at), name.size());
    out += text(x, y, "class=\"label\" text-anchor=\"middle\"",
                (at > 0 ? "+ " : "") + name.substr(at, plus - at));
    at = plus + 1;
    y += 16;
  }
  return out;
}

std::string legend(const Panel& panel) {
  std::string out;
  int x = panel.left;
  for (const Series& series : panel.series) {
    out +=
        fmt::format("<rect x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>\n",
                    x, kTop - 30, series.colour);
    out += text(x + 18, kTop - 20, "class=\"label\"", series.name);
    x += 36 + static_cast<int>(series.name.size()) * 7;
  }
  return out;
}

std::string draw(const Panel& panel) {
  double highest = 0;
  for (const Group& group : panel.groups) {
    for (const double value : group.values) highest = std::max(highest, value);
  }
  const double step = nice_step(std::max(highest, 1e-6) / 5);
  const int steps = std::max(1, static_cast<int>(std::ceil(highest / step + 0.15)));
  std::string out = text(panel.left, kTop - 42, "class=\"title\"",
                         panel.title + " <tspan class=\"tick\">(" + panel.unit + ")</tspan>");
  out += legend(panel) + axis(panel, step, steps);
  const double room =
      static_cast<double>(panel.right - panel.left) / static_cast<double>(panel.groups.size());
  const double bar = room * 0.74 / static_cast<double>(panel.series.size());
  double x = panel.left;
  for (const Group& group : panel.groups) {
    double at = x + room * 0.13;
    for (size_t i = 0; i < group.values.size(); ++i, at += bar) {
      const double height = (kBottom - kTop) * group.values[i] / (step * steps);
      out += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"2\" "
          "fill=\"{}\"/>\n",
          at, kBottom - height, bar - 3, height, panel.series[i].colour);
      out += text(at + (bar - 3) / 2, kBottom - height - 5,
                  "class=\"value\" text-anchor=\"middle\"", number(group.values[i]));
    }
    out += label(x + room / 2, group.label);
    x += room;
  }
  return out;
}

Panel disk_panel(const Report& report) {
  Panel panel{64,
              650,
              "Disk traffic",
              "thousand sectors of 512 bytes",
              {{"read", "#2f6db3"}, {"written", "#e0912f"}},
              {}};
  for (const NamedResult& named : report.results) {
    panel.groups.push_back({std::string(named.name),
                            {static_cast<double>(named.result.counters.sectors_read) / 1000,
                             static_cast<double>(named.result.counters.sectors_written) / 1000}});
  }
  return panel;
}

Panel pool_panel(const Report& report) {
  Panel panel{730,
              1096,
              "Pool at its peak",
              "MiB",
              {{"real (with metadata)", "#6b7785"}, {"apparent to the guests", "#3b9b6d"}},
              {}};
  for (const NamedResult& named : report.results) {
    if (named.result.real_bytes_peak == 0) continue;
    panel.groups.push_back({std::string(named.name),
                            {static_cast<double>(named.result.real_bytes_peak) / kMiB,
                             static_cast<double>(named.result.apparent_bytes_peak) / kMiB}});
  }
  return panel;
}

}  // namespace

std::string to_svg(const Report& report) {
  const Parameters& p = report.parameters;
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
      "height=\"{1}\" role=\"img\">\n"
      "<title>LPC-2010 experiment, simulated</title>\n"
      "<style>text{{font-family:'DejaVu Sans',Helvetica,Arial,sans-serif;fill:#222}}"
      ".head{{font-size:19px;font-weight:bold}}.title{{font-size:15px;font-weight:bold}}"
      ".label{{font-size:12px}}.tick{{font-size:11px;font-weight:normal;fill:#666}}"
      ".value{{font-size:10.5px;fill:#333}}</style>\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n",
      kWidth, kHeight);
  out += text(24, 32, "class=\"head\"",
              "Four guests, two kernel builds each, twice: LPC-2010 experiment, simulated");
  out += draw(disk_panel(report));
  const Panel pool = pool_panel(report);
  if (!pool.groups.empty()) out += draw(pool);
  out += text(24, kHeight - 38, "class=\"tick\"",
              fmt::format("Simulation with real pages and a real tmemd. Host memory {} MiB in all "
                          "configurations; scale 1/{}, file overlap between guests {} %, seed {}.",
                          report.results.front().result.host_memory_bytes / kMiB, p.scale,
                          p.overlap_percent, p.seed));
  out += text(24, kHeight - 20, "class=\"tick\"", "File manifest " + report.manifest.hash + ".");
  return out + "</svg>\n";
}

}  // namespace tmem::lab
