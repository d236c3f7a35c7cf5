#include "ir/support/suggest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

namespace smelt {

size_t edit_distance(std::string_view a, std::string_view b) {
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

std::string suggest(std::string_view wrong, std::span<const std::string_view> known) {
  constexpr size_t kMaxNames = 10;
  if (std::string near = did_you_mean(wrong, known); !near.empty() || known.empty()) return near;
  const std::span<const std::string_view> shown = known.first(std::min(known.size(), kMaxNames));
  return fmt::format("there are {}{}", fmt::join(shown, ", "),
                     known.size() > kMaxNames ? fmt::format(" and {} more", known.size() - kMaxNames) : "");
}

}  // namespace smelt
