// Which recordings a call of `audio` means, and in which order.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/support/result.h"

namespace smelt {

/// The recordings at `places`: of a pattern the files that it matches, of a folder the .wav, .flac, .ogg, .oga and
/// .opus in it and below, else the file; place by place, the names of one by their bytes. One that two places have
/// counts once. Errors: Input when a place has none.
Result<std::vector<std::string>> list_recordings(std::span<const std::string> places);

}  // namespace smelt
