// What the language has by name, as a list: entries of the standard library, functions of the compiler, distributions,
// readers, lines of train sections and their options.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace smelt {

struct LibraryEntry {
  std::string module;     // `std.nn`; `built in`, `distribution`, `reader`, .. of what the compiler provides
  std::string name;       // `Dense`
  std::string signature;  // `Dense{out, act = identity}(x: f32[..., In]) -> f32[..., out]`
  std::string doc;        // the comment above it, in one line; of a function without one that is a formula, the formula
};

/// In the order of the files and of the declarations in them, then what the compiler provides.
std::vector<LibraryEntry> library_entries();

/// Those whose name is `word`, else those whose name or doc holds it, whatever its case.
std::vector<LibraryEntry> find_entries(std::string_view word);

/// docs/library.md.
std::string library_markdown();

}  // namespace smelt
