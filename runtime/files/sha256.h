// SHA-256 (FIPS 180-4): the identity of a model text in checkpoints and headers.
#pragma once

#include <string>
#include <string_view>

namespace smelt {

/// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view text);

}  // namespace smelt
