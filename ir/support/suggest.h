// "did you mean": the known name that is fewest edits away.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace smelt {

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
inline size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

/// The closest of `known` within a third of the name's length (at least one edit); empty when none is close.
template <typename Names>
std::string closest_name(std::string_view name, const Names& known) {
  constexpr size_t kLongestName = 64;  // longer ones are not worth a quadratic search
  std::string best;
  if (name.size() > kLongestName) return best;
  size_t best_distance = std::max<size_t>(1, name.size() / 3) + 1;
  for (const auto& candidate : known) {
    const std::string_view text(candidate);
    if (text.size() > kLongestName || text == name) continue;
    const size_t distance = edit_distance(name, text);
    if (distance < best_distance && distance < text.size()) {
      best_distance = distance;
      best = text;
    }
  }
  return best;
}

/// "did you mean `softmax`?", or an empty string.
template <typename Names>
std::string did_you_mean(std::string_view name, const Names& known) {
  const std::string best = closest_name(name, known);
  return best.empty() ? best : "did you mean `" + best + "`?";
}

}  // namespace smelt
