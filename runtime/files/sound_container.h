// What WAV and Ogg files say of their own length, because libsndfile plays on where they are cut short.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "ir/support/result.h"

namespace smelt {

/// Errors: Input when a chunk is missing, says what cannot be (no channel, no rate, a number of bits that no format
/// has), or is longer than the file. A length of all ones, as programs write it that do not know the end, is the rest.
Result<void> check_wav(std::span<const std::byte> file, const std::string& name);

/// Errors: Input when the last page is cut short. Whether pages are missing behind it cannot be seen: three in ten
/// files in use do not mark the last one.
Result<void> check_ogg(std::span<const std::byte> file, const std::string& name);

}  // namespace smelt
