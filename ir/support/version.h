// Which Smelt this is.
#pragma once

#include <string_view>

namespace smelt {

/// As the build's project says: `0.1.0`.
std::string_view version();

}  // namespace smelt
