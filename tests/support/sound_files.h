// Sound files for tests, in every format that is read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace smelt::test {

enum class SoundKind : uint8_t { Wav16, WavFloat, Flac, Vorbis, Mp3 };

/// `samples` have the channels innermost. Empty when libsndfile does not write the kind so.
std::string sound_file(SoundKind kind, int rate, int channels, const std::vector<float>& samples);

/// A sine of `hertz` and 0.5.
std::vector<float> tone(double hertz, int rate, int count);

}  // namespace smelt::test
