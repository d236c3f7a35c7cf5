// A wrong and a right example of a diagnostic, from the files that tests compare: what `smelt explain CODE` shows.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "frontend/build_experiment.h"

namespace smelt {

struct CodeExample {
  std::string wrong;     // a model file
  std::string messages;  // what is said of it
  std::string right;     // a model file of which it is not said
};

std::optional<CodeExample> example_of(std::string_view code);

/// What the first line of an example stands for: `# --set name=value`, `# --data name=DIR` and `# --train name` for
/// these flags, `# damaged: path` for a data file.
FrontendOptions options_of_example(std::string_view text);

/// The lines of `right` that `wrong` does not have.
std::string changed_lines(std::string_view wrong, std::string_view right);

}  // namespace smelt
