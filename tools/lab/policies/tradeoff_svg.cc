// SPDX-License-Identifier: GPL-2.0-or-later
// The plot of trade-off curves: small multiples, one a family; stall on a logarithmic scale.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "tools/lab/policies/output.h"

namespace tmem::lab::policies {
namespace {

constexpr int kColumns = 4;
constexpr int kCellWidth = 290;
constexpr int kCellHeight = 230;
constexpr int kLeft = 52;  // of a panel, within its cell
constexpr int kTop = 26;
constexpr int kPanelWidth = kCellWidth - kLeft - 16;
constexpr int kPanelHeight = kCellHeight - kTop - 34;
constexpr double kStallMin = 1e-5;  // what is less is drawn there
constexpr double kStallMax = 1;

constexpr std::array kColours = {"#c8102e", "#2f6db3", "#e0912f", "#3b9b6d", "#7d5ba6", "#6b7785",
                                 "#a0522d", "#1aa3a3", "#d268a8", "#8f9e1f", "#222222", "#5c7cfa"};

std::string text(double x, double y, const char* attributes, const std::string& content) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, attributes, content);
}

struct Panel {
  double left;
  double top;
  double freed_low;
  double freed_high;

  double x(double freed) const {
    return left + kPanelWidth * (freed - freed_low) / (freed_high - freed_low);
  }
  double y(double stall) const {
    const double at = std::log10(std::clamp(stall, kStallMin, kStallMax) / kStallMin);
    return top + kPanelHeight * (1 - at / std::log10(kStallMax / kStallMin));
  }
};

std::string axes(const Panel& panel, const std::string& title) {
  std::string out = text(panel.left, panel.top - 9, "class=\"title\"", title);
  for (double stall = kStallMin; stall < 1.5 * kStallMax; stall *= 10) {
    out += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"{2:.1f}\" x2=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"#e2e2e2\"/>\n",
        panel.left, panel.left + kPanelWidth, panel.y(stall));
    out += text(panel.left - 5, panel.y(stall) + 4, "class=\"tick\" text-anchor=\"end\"",
                fmt::format("{:g} %", 100 * stall));
  }
  constexpr int kSteps = 4;
  for (int i = 0; i <= kSteps; ++i) {
    const double freed = panel.freed_low + (panel.freed_high - panel.freed_low) * i / kSteps;
    out += text(panel.x(freed), panel.top + kPanelHeight + 15,
                "class=\"tick\" text-anchor=\"middle\"", fmt::format("{:.0f} %", 100 * freed));
  }
  return out;
}

std::string draw(const Panel& panel, const Curve& curve, const char* colour) {
  const std::vector<Point> envelope = lower_envelope(curve.points);
  std::string path;
  for (const Point& point : envelope)
    path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "M" : " L", panel.x(point.freed_ratio),
                        panel.y(point.stall_some));
  std::string out = fmt::format(
      "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\"/>\n", path, colour);
  for (const Point& point : curve.points)
    out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.4\" fill=\"{}\"/>\n",
                       panel.x(point.freed_ratio), panel.y(point.stall_some), colour);
  return out;
}

template <class Get>
std::vector<std::string> distinct(const std::vector<const Curve*>& curves, Get get) {
  std::vector<std::string> names;
  for (const Curve* curve : curves)
    if (std::find(names.begin(), names.end(), get(*curve)) == names.end())
      names.push_back(get(*curve));
  return names;
}

std::string draw_family(const std::vector<const Curve*>& curves, const std::string& family,
                        const std::vector<std::string>& policies, Panel panel) {
  panel.freed_low = 1;
  panel.freed_high = 0;
  for (const Curve* curve : curves) {
    if (curve->family != family) continue;
    for (const Point& point : curve->points) {
      panel.freed_low = std::min(panel.freed_low, std::floor(point.freed_ratio * 20) / 20);
      panel.freed_high = std::max(panel.freed_high, std::ceil(point.freed_ratio * 20) / 20);
    }
  }
  if (panel.freed_high <= panel.freed_low) panel.freed_high = panel.freed_low + 0.05;
  std::string out = axes(panel, family);
  for (size_t i = 0; i < policies.size(); ++i)
    for (const Curve* curve : curves)
      if (curve->family == family && curve->policy == policies[i])
        out += draw(panel, *curve, kColours[i % kColours.size()]);
  return out;
}

}  // namespace

std::string tradeoff_svg(const std::vector<Curve>& all, bool pool) {
  std::vector<const Curve*> curves;
  for (const Curve& curve : all)
    if (curve.pool == pool) curves.push_back(&curve);
  const auto policies = distinct(curves, [](const Curve& c) { return c.policy; });
  const auto names = distinct(curves, [](const Curve& c) { return c.family; });
  const int rows = (static_cast<int>(names.size()) + kColumns - 1) / kColumns;
  const int legend_rows = (static_cast<int>(policies.size()) + 5) / 6;
  const int top = 50 + 20 * legend_rows;
  const int width = kColumns * kCellWidth + 16;
  const int height = top + rows * kCellHeight + 24;
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
      "height=\"{1}\" role=\"img\">\n<title>Stall over memory freed</title>\n"
      "<style>text{{font-family:'DejaVu Sans',Helvetica,Arial,sans-serif;fill:#222}}"
      ".head{{font-size:16px;font-weight:bold}}.title{{font-size:12px;font-weight:bold}}"
      ".label{{font-size:12px}}.tick{{font-size:10px;fill:#666}}</style>\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n",
      width, height);
  out += text(16, 28, "class=\"head\"",
              fmt::format("PSI some over the guests' memory freed, pool {} (simulated)",
                          pool ? "on" : "off"));
  for (size_t i = 0; i < policies.size(); ++i) {
    const double x = 16 + 190.0 * static_cast<double>(i % 6);
    const double y = 40 + 20.0 * static_cast<double>(i / 6);
    out += fmt::format(
        "<rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>\n", x, y,
        kColours[i % kColours.size()]);
    out += text(x + 18, y + 11, "class=\"label\"", policies[i]);
  }
  for (size_t i = 0; i < names.size(); ++i) {
    const auto column = static_cast<int>(i) % kColumns;
    const auto row = static_cast<int>(i) / kColumns;
    out += draw_family(curves, names[i], policies,
                       {static_cast<double>(column * kCellWidth + kLeft),
                        static_cast<double>(top + row * kCellHeight + kTop), 0, 1});
  }
  return out + "</svg>\n";
}

}  // namespace tmem::lab::policies
