// "did you mean": the known name that is fewest edits away.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

namespace smelt {

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
size_t edit_distance(std::string_view a, std::string_view b);

/// The closest of `known` within a third of the name's length (at least one edit); empty when none is close.
template <typename Names>
std::string closest_name(std::string_view name, const Names& known) {
  constexpr size_t kLongestName = 128;  // longer ones are not worth a quadratic search
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

/// The same, or where nothing is close the known names (at most 10): `there are loss, accuracy`. Empty when there are
/// none.
std::string suggest(std::string_view wrong, std::span<const std::string_view> known);

}  // namespace smelt
