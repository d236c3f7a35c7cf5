// Sounds from files: WAV, FLAC and Ogg, decoded by libsndfile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ir/support/result.h"

namespace smelt {

struct Sound {
  int64_t rate = 0;            // samples a second
  std::vector<float> samples;  // the mean of all channels
};

/// The sound of `file`; `name` is for messages. The first bytes tell which format it is.
/// Errors: Input when it is of another format, damaged, cut short, empty, has more than 32 channels, a rate outside of
/// kLeastSoundRate..kLargestSoundRate, NaN, infinity or floats far outside of -1..1; Limit beyond `max_samples`,
/// whatever the header says.
Result<Sound> decode_sound(std::span<const std::byte> file, const std::string& name, uint64_t max_samples);

}  // namespace smelt
