// "did you mean": the help of a message about a name that does not exist.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace smelt {

/// ``did you mean `loss`?``, else the known names (at most 10), else an empty string when there are none.
std::string suggest(std::string_view wrong, std::span<const std::string_view> known);

/// Edit distance: insert, delete, replace and swap of neighbours count one each.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace smelt
