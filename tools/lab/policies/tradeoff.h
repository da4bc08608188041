// SPDX-License-Identifier: GPL-2.0-or-later
// Policies at the same amount of memory freed. A policy that frees nothing waits for nothing, so
// stall alone compares nothing: each policy's knob gives points (freed, stall), and two policies
// are compared where they free the same.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "tools/lab/policies/evaluate.h"

namespace tmem::lab::policies {

struct Point {
  double freed_ratio = 0;
  double stall_some = 0;
  double knob = 0;
};

// Of one policy in one family of scenarios, with the pool or without: means over the scenarios.
struct Curve {
  std::string policy;
  std::string family;  // "all": the mean of all scenarios
  bool pool = false;
  std::vector<Point> points;  // one a knob, in the order of knobs
};

inline constexpr std::string_view kAllFamilies = "all";
std::vector<Curve> make_curves(const Evaluation& evaluation);

// The points that no other point of the curve beats in both, by memory freed, rising.
std::vector<Point> lower_envelope(const std::vector<Point>& points);
// The least stall with which at least so much is freed, on straight lines between the points of an
// envelope; nothing where it frees less than that.
std::optional<double> stall_at(const std::vector<Point>& envelope, double freed_ratio);

// A policy against `ours`, at each point of the policy's envelope.
struct Comparison {
  std::string policy;
  std::string family;
  bool pool = false;
  double freed_low = 0;  // of the policy's envelope
  double freed_high = 0;
  double stall = 0;       // the policy's mean over the points that ours reaches
  double ours_stall = 0;  // ours at the same memory freed
  uint32_t points = 0;
  uint32_t ours_better = 0;  // or the same, within a thousandth of a percent
  uint32_t unreached = 0;    // ours does not free as much
};
std::vector<Comparison> compare(const std::vector<Curve>& curves, const std::string& ours);

}  // namespace tmem::lab::policies
