// Sounds at another rate.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace smelt {

/// `samples` at `to` instead of `from` samples a second, both within kLeastSoundRate..kLargestSoundRate: a polyphase
/// filter, of which Source has the formula. There are ceil(n * to / from) of them.
///
///   y[m] = sum_k x[k] h[m * down - k * up],   to / from = up / down in lowest terms
///   h[i] = up c sinc(c i) kaiser(i / (10 / c), beta = 5) / sum h,   |i| <= 10 / c,   c = 1 / max(up, down)
///
/// Numerics     sums in f64, rounded once
/// Source       scipy.signal.resample_poly with its default window
std::vector<float> resample(std::span<const float> samples, int64_t from, int64_t to);

}  // namespace smelt
