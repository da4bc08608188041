// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/tradeoff.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace tmem::lab::policies {
namespace {

constexpr double kSameStall = 0.01;  // of the stall

const Curve* find(const std::vector<Curve>& curves, const std::string& policy, const Curve& like) {
  for (const Curve& curve : curves)
    if (curve.policy == policy && curve.family == like.family && curve.pool == like.pool)
      return &curve;
  return nullptr;
}

Comparison compare_one(const Curve& curve, const Curve& ours) {
  const std::vector<Point> theirs = lower_envelope(curve.points);
  const std::vector<Point> envelope = lower_envelope(ours.points);
  Comparison result{curve.policy,
                    curve.family,
                    curve.pool,
                    theirs.front().freed_ratio,
                    theirs.back().freed_ratio,
                    0,
                    0,
                    0,
                    0,
                    0};
  for (const Point& point : theirs) {
    ++result.points;
    const auto stall = stall_at(envelope, point.freed_ratio);
    if (!stall) {
      ++result.unreached;
      continue;
    }
    result.stall += point.stall_some;
    result.ours_stall += *stall;
    if (*stall <= point.stall_some * (1 + kSameStall)) ++result.ours_better;
  }
  const double reached = std::max(1u, result.points - result.unreached);
  result.stall /= reached;
  result.ours_stall /= reached;
  return result;
}

}  // namespace

std::vector<Curve> make_curves(const Evaluation& evaluation) {
  struct Sum {
    double freed = 0;
    double stall = 0;
    double count = 0;
  };
  // By policy (in its order), family and pool; then by contender.
  std::map<std::tuple<std::string, std::string, bool>, std::map<size_t, Sum>> sums;
  std::vector<std::tuple<std::string, std::string, bool>> order;
  for (size_t i = 0; i < evaluation.rows.size(); ++i) {
    const Row& row = evaluation.rows[i];
    const size_t contender = i / 2 % evaluation.contenders.size();
    for (const std::string_view family :
         {kAllFamilies, evaluation.scenarios[row.scenario].family}) {
      const std::tuple key(row.contender.policy, std::string(family), row.pool);
      const auto [place, is_new] = sums.try_emplace(key);
      if (is_new) order.push_back(key);
      Sum& sum = place->second[contender];
      sum.freed += row.result.freed_ratio;
      sum.stall += row.result.stall_some;
      ++sum.count;
    }
  }
  std::vector<Curve> curves;
  for (const auto& key : order) {
    Curve curve{std::get<0>(key), std::get<1>(key), std::get<2>(key), {}};
    for (const auto& [contender, sum] : sums[key])
      curve.points.push_back(
          {sum.freed / sum.count, sum.stall / sum.count, evaluation.contenders[contender].knob});
    curves.push_back(std::move(curve));
  }
  return curves;
}

std::vector<Point> lower_envelope(const std::vector<Point>& points) {
  std::vector<Point> sorted = points;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Point& a, const Point& b) {
    return std::tie(b.freed_ratio, a.stall_some) < std::tie(a.freed_ratio, b.stall_some);
  });
  std::vector<Point> envelope;
  for (const Point& point : sorted)
    if (envelope.empty() || point.stall_some < envelope.back().stall_some)
      envelope.push_back(point);
  std::reverse(envelope.begin(), envelope.end());
  return envelope;
}

std::optional<double> stall_at(const std::vector<Point>& envelope, double freed_ratio) {
  const auto right = std::find_if(envelope.begin(), envelope.end(), [&](const Point& point) {
    return point.freed_ratio >= freed_ratio;
  });
  if (right == envelope.end()) return std::nullopt;
  if (right == envelope.begin()) return right->stall_some;
  const Point& left = *(right - 1);
  const double part = (freed_ratio - left.freed_ratio) / (right->freed_ratio - left.freed_ratio);
  return left.stall_some + part * (right->stall_some - left.stall_some);
}

std::vector<Comparison> compare(const std::vector<Curve>& curves, const std::string& ours) {
  std::vector<Comparison> comparisons;
  for (const Curve& curve : curves) {
    const Curve* const own = find(curves, ours, curve);
    if (curve.policy == ours || own == nullptr) continue;
    comparisons.push_back(compare_one(curve, *own));
  }
  return comparisons;
}

}  // namespace tmem::lab::policies
