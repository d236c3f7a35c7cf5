// A wrong and a right example of a diagnostic, from the files that tests compare: what `smelt explain CODE` shows.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace smelt {

struct CodeExample {
  std::string wrong;     // a model file
  std::string messages;  // what is said of it
  std::string right;     // a model file of which it is not said; empty when there is none
};

/// Nothing for a code that shows only while a model runs, or whose files are no text.
std::optional<CodeExample> example_of(std::string_view code);

/// The lines of `right` that `wrong` does not have.
std::string changed_lines(std::string_view wrong, std::string_view right);

}  // namespace smelt
