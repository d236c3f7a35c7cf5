// Patterns of file names: `pets/**/*.png`.
//
// `*` is any part of a name, `?` one character, `**` any number of folders. A name that begins with a dot is matched by
// a pattern that does. The order is that of the bytes of names, so it depends on no file system and no locale.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/support/result.h"

namespace smelt {

bool is_pattern(std::string_view path);

/// `pets/**/*.png` is the folder `pets` and the rest `**/*.png`; the folder of a pattern without one is `.`.
struct Pattern {
  std::string folder, rest;
};
Pattern split_pattern(const std::string& path);

/// The files below the pattern's folder that it matches: their paths from there, sorted. Links to folders are followed.
/// Errors: Input when the folder or one below it cannot be read.
Result<std::vector<std::string>> match_files(const Pattern& pattern);
/// The same, at least one. Errors: also Input when there is none, with what there is instead.
Result<std::vector<std::string>> match_some(const Pattern& pattern);

}  // namespace smelt
