// Writes sounds as WAV files.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "ir/support/result.h"

namespace smelt {

/// A RIFF file of 16-bit PCM, one channel, `rate` samples a second. Samples are -1..1; what lies outside is clamped,
/// and NaN is silence. Equal samples give equal bytes. Errors: Output beyond the 4 GiB that the format can say.
Result<std::string> encode_wav(std::span<const float> samples, int64_t rate);

}  // namespace smelt
