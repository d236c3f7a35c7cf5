// "did you mean": the known names that are fewest edits away.
#pragma once

#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace smelt {

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
size_t edit_distance(std::string_view a, std::string_view b);

/// The closest of `known` within a third of the name's length, of long names a fourth (at least one edit): all that are
/// equally near, those of the same length first, because a wrong letter is likelier than a missing one. Empty when none
/// is close.
std::vector<std::string> closest_names(std::string_view name, std::span<const std::string_view> known);

/// "did you mean `adamw` or `adam`?", or an empty string.
std::string did_you_mean(std::string_view name, std::span<const std::string_view> known);
template <typename Names>
std::string did_you_mean(std::string_view name, const Names& known) {
  const std::vector<std::string_view> views(std::begin(known), std::end(known));
  return did_you_mean(name, std::span(views));
}

/// The same, or where nothing is close the known names (at most 10): `there are loss, accuracy`. Empty when there are
/// none.
std::string suggest(std::string_view wrong, std::span<const std::string_view> known);

}  // namespace smelt
