// Start weights, pictures and noise of the comparisons with stored results: integer formulas, exact in f32,
// the same as in stored/make.py.
#pragma once

#include <cstdint>
#include <vector>

namespace smelt::numeric {

enum Stream : uint32_t {
  kImageBox = 100,
  kImagePixel = 101,
  kNoise = 200,
  kSampleAt = 300,
  kSign = 400,
  kTiny = 500,
  kRing = 600,
  kDerivative = 700,
  kPicture = 800,
  kSequence = 900,
  kText = 920,
  kWords = 980
};

/// 32 well-mixed bits of (stream, i). Source: lowbias32 of Wellons' hash-prospector.
constexpr uint32_t mix(uint32_t stream, uint32_t i) {
  uint32_t x = i * 0x9E3779B9u + stream * 0x85EBCA6Bu + 0x1234567u;
  x ^= x >> 16;
  x *= 0x7FEB352Du;
  x ^= x >> 15;
  x *= 0x846CA68Bu;
  return x ^ (x >> 16);
}

/// In -scale..scale.
inline std::vector<double> uniform(uint32_t stream, size_t count, double scale) {
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = ((mix(stream, static_cast<uint32_t>(i)) >> 8) * 0x1p-23 - 1) * scale;
  return values;
}

/// Bright boxes on a dark ground, [rows, 784].
inline std::vector<uint8_t> images(uint32_t rows) {
  std::vector<uint8_t> pixels;
  pixels.reserve(size_t{rows} * 784);
  for (uint32_t row = 0; row < rows; ++row) {
    const uint32_t box = mix(kImageBox, row);
    const uint32_t x0 = box % 12, y0 = (box >> 8) % 12, width = 8 + (box >> 16) % 9, height = 8 + (box >> 24) % 9;
    for (uint32_t i = 0; i < 784; ++i) {
      const uint32_t x = i % 28, y = i / 28, bits = mix(kImagePixel, row * 784 + i);
      const bool inside = x >= x0 && x < x0 + width && y >= y0 && y < y0 + height;
      pixels.push_back(static_cast<uint8_t>(inside ? 128 + (bits & 127) : bits & 15));
    }
  }
  return pixels;
}

/// Nearly normal: twelve 16-bit uniforms, summed.
inline std::vector<double> noise(size_t count) {
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) {
    uint32_t total = 0;
    for (uint32_t t = 0; t < 12; ++t) total += mix(kNoise + t, static_cast<uint32_t>(i)) >> 16;
    values[i] = total / 65536.0 - 6;
  }
  return values;
}

}  // namespace smelt::numeric
