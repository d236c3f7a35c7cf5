// Writes sounds as WAV files: a header of 44 bytes, and the samples in little-endian.
#include "runtime/files/wav.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace smelt {
namespace {

constexpr uint32_t kHeaderBytes = 44;
constexpr uint32_t kSampleBytes = 2;
constexpr uint64_t kMaxSamples = (UINT32_MAX - kHeaderBytes) / kSampleBytes;
constexpr float kLargest = 32767;  // also of negative samples, so that a sound and its mirror image are equally loud

void put(std::string& to, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to += static_cast<char>(value >> 8 * i);
}

}  // namespace

Result<std::string> encode_wav(std::span<const float> samples, int64_t rate) {
  if (samples.size() > kMaxSamples)
    return fail(ErrorKind::Output, fmt::format("{} samples do not fit into a WAV file: it holds {} of 16 bits",
                                               samples.size(), kMaxSamples));
  const uint64_t data_bytes = samples.size() * kSampleBytes, second = static_cast<uint64_t>(rate);
  std::string out;
  out.reserve(kHeaderBytes + data_bytes);
  out += "RIFF";
  put(out, kHeaderBytes - 8 + data_bytes, 4);
  out += "WAVEfmt ";
  put(out, 16, 4);  // of this chunk
  put(out, 1, 2);   // PCM
  put(out, 1, 2);   // channels
  put(out, second, 4);
  put(out, second * kSampleBytes, 4);
  put(out, kSampleBytes, 2);
  put(out, 8 * kSampleBytes, 2);
  out += "data";
  put(out, data_bytes, 4);
  for (const float sample : samples) {
    const float value = std::isnan(sample) ? 0.0f : std::clamp(sample, -1.0f, 1.0f);
    put(out, static_cast<uint16_t>(std::lrint(value * kLargest)), kSampleBytes);
  }
  return out;
}

}  // namespace smelt
