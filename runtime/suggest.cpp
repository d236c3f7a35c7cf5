#include "runtime/suggest.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace smelt {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] =
          std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

std::string suggest(std::string_view wrong, std::span<const std::string_view> known) {
  constexpr size_t kMaxLength = 128, kMaxNames = 10;
  std::string_view best;
  size_t best_distance = std::max<size_t>(wrong.size() / 3, 1) + 1;
  for (const std::string_view name : known) {
    if (name.size() > kMaxLength || wrong.size() > kMaxLength) continue;
    const size_t distance = edit_distance(wrong, name);
    if (distance < best_distance) {
      best = name;
      best_distance = distance;
    }
  }
  if (!best.empty()) return fmt::format("did you mean `{}`?", best);
  if (known.empty()) return {};
  const std::span<const std::string_view> shown = known.subspan(0, std::min(known.size(), kMaxNames));
  return fmt::format("there are {}{}", fmt::join(shown, ", "),
                     known.size() > kMaxNames ? fmt::format(" and {} more", known.size() - kMaxNames) : "");
}

}  // namespace smelt
