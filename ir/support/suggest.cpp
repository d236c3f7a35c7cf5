#include "ir/support/suggest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <utility>

namespace smelt {

namespace {

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

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

std::vector<std::string> closest_names(std::string_view name, std::span<const std::string_view> known) {
  constexpr size_t kLongestName = 128;  // longer ones are not worth a quadratic search
  constexpr size_t kMaxTies = 3;        // more equally near names say that none is meant
  if (name.size() > kLongestName) return {};
  const size_t farthest = std::max<size_t>(1, name.size() > 8 ? name.size() / 4 : name.size() / 3);
  std::vector<std::pair<std::pair<size_t, size_t>, std::string>> near;  // edits, difference of lengths; the name
  for (const std::string_view text : known) {
    if (text.size() > kLongestName || text == name) continue;
    const size_t distance = equal_without_case(name, text) ? 0 : edit_distance(name, text);
    const size_t longer = std::max(text.size(), name.size());
    if (distance > farthest || distance >= longer) continue;  // something of the name has to be left
    near.push_back({{distance, longer - std::min(text.size(), name.size())}, std::string(text)});
  }
  std::ranges::stable_sort(near, {}, [](const auto& entry) { return entry.first; });
  std::vector<std::string> names;
  for (const auto& [rank, text] : near) {
    const bool tie = rank.first == near.front().first.first;
    if (tie && std::ranges::find(names, text) == names.end()) names.push_back(text);
  }
  if (names.size() > kMaxTies) names.resize(kMaxTies);
  return names;
}

std::string did_you_mean(std::string_view name, std::span<const std::string_view> known) {
  const std::vector<std::string> near = closest_names(name, known);
  if (near.empty()) return {};
  return fmt::format("did you mean `{}`?", fmt::join(near, "` or `"));
}

std::string suggest(std::string_view wrong, std::span<const std::string_view> known) {
  constexpr size_t kMaxNames = 10;
  if (std::string near = did_you_mean(wrong, known); !near.empty() || known.empty()) return near;
  const std::span<const std::string_view> shown = known.first(std::min(known.size(), kMaxNames));
  return fmt::format("there are {}{}", fmt::join(shown, ", "),
                     known.size() > kMaxNames ? fmt::format(" and {} more", known.size() - kMaxNames) : "");
}

}  // namespace smelt
