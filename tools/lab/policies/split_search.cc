// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/lab/policies/split_search.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

namespace tmem::lab::policies {
namespace {

// A piece, as a share of what a guest has on average: from the first to the last.
constexpr uint64_t kFirstPart = 16;
constexpr uint64_t kLastPart = 32;

struct Move {
  size_t to;
  size_t from;
  uint32_t failures = 0;
};

class Descent {
 public:
  Descent(const SplitLimits& limits, uint32_t trials, const TrySplit& try_split)
      : limits_(limits), trials_(trials), try_split_(try_split) {}

  bool is_over() const { return tried_.size() >= trials_; }
  const Split& best() const { return best_; }

  // Whether it is the best so far.
  bool consider(const Split& split) {
    if (!tried_.insert(split).second) return false;
    std::vector<double> stalls = try_split_(split);
    const double sum = std::accumulate(stalls.begin(), stalls.end(), 0.0);
    if (sum >= best_sum_) return false;
    best_ = split;
    best_stalls_ = std::move(stalls);
    best_sum_ = sum;
    return true;
  }

  // Until no move of so many pages is better. What was better is done again.
  void descend(uint64_t piece_pages) {
    std::vector<Move> moves = all_moves();
    for (bool better = true; better && !is_over();) {
      better = false;
      sort(moves);
      for (Move& move : moves) {
        while (!is_over() && consider(moved(move, piece_pages))) better = true;
        if (better || is_over()) break;
        ++move.failures;
      }
    }
  }

 private:
  std::vector<Move> all_moves() const {
    std::vector<Move> moves;
    for (size_t to = 0; to < best_.size(); ++to)
      for (size_t from = 0; from < best_.size(); ++from)
        if (to != from) moves.push_back({to, from});
    return moves;
  }

  // What failed less often comes first; of these, from whom waits least to whom waits most.
  void sort(std::vector<Move>& moves) const {
    const auto order = [&](const Move& move) {
      return std::pair(move.failures, best_stalls_[move.from] - best_stalls_[move.to]);
    };
    std::stable_sort(moves.begin(), moves.end(),
                     [&](const Move& a, const Move& b) { return order(a) < order(b); });
  }

  Split moved(const Move& move, uint64_t pages) const {
    Split split = best_;
    pages = std::min({pages, split[move.from] - limits_.min_pages[move.from],
                      limits_.max_pages[move.to] - split[move.to]});
    split[move.from] -= pages;
    split[move.to] += pages;
    return split;
  }

  const SplitLimits& limits_;
  const uint32_t trials_;
  const TrySplit& try_split_;
  std::set<Split> tried_;
  Split best_;
  std::vector<double> best_stalls_;
  double best_sum_ = std::numeric_limits<double>::infinity();
};

}  // namespace

Split improve_split(const std::vector<Split>& starts, const SplitLimits& limits, uint32_t trials,
                    const TrySplit& try_split) {
  Descent descent(limits, trials, try_split);
  for (const Split& start : starts) descent.consider(start);
  const Split& best = descent.best();
  const uint64_t average =
      std::accumulate(best.begin(), best.end(), uint64_t{0}) / std::max<size_t>(1, best.size());
  for (uint64_t part = kFirstPart; part <= kLastPart && !descent.is_over(); part *= 2)
    descent.descend(average / part);
  return best;
}

Split divide(uint64_t pages, const std::vector<uint64_t>& weights, const SplitLimits& limits) {
  Split split(weights.size());
  uint64_t left_pages = pages;
  uint64_t left_weight = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
  std::vector<bool> bounded(weights.size());
  for (bool again = true; again;) {
    again = false;
    for (size_t i = 0; i < split.size(); ++i) {
      if (bounded[i]) continue;
      split[i] = left_pages * weights[i] / left_weight;
      const uint64_t within = std::clamp(split[i], limits.min_pages[i], limits.max_pages[i]);
      if (within == split[i]) continue;
      split[i] = within;
      bounded[i] = again = true;
      left_pages -= std::min(left_pages, within);
      left_weight -= weights[i];
      break;
    }
  }
  return split;
}

}  // namespace tmem::lab::policies
