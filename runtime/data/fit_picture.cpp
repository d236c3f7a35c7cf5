#include "runtime/data/fit_picture.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace smelt {
namespace {

constexpr double kOne = 1 << 30;  // of a weight: the sum of 2^24 weights, each rounded, is still within 1 %

/// What one new pixel takes of a row or column.
struct Taps {
  int64_t first = 0;
  std::vector<int64_t> weights;  // in units of 1 / kOne
};

/// Pixels `begin` .. `end` of `size`, which need not be whole, become `count` pixels.
std::vector<Taps> taps_of(int64_t size, double begin, double end, int64_t count) {
  const double step = (end - begin) / static_cast<double>(count), support = std::max(step, 1.0);
  std::vector<Taps> out;
  for (int64_t i = 0; i < count; ++i) {
    const double middle = begin + (static_cast<double>(i) + 0.5) * step;
    const auto first = std::max<int64_t>(0, static_cast<int64_t>(std::floor(middle - support + 0.5)));
    const auto last = std::min<int64_t>(size, static_cast<int64_t>(std::floor(middle + support + 0.5)));
    std::vector<double> parts;
    double sum = 0;
    for (int64_t k = first; k < last; ++k) {
      parts.push_back(std::max(0.0, 1 - std::abs((static_cast<double>(k) + 0.5 - middle) / support)));
      sum += parts.back();
    }
    Taps taps{first, {}};
    for (const double part : parts) taps.weights.push_back(std::llround(part / sum * kOne));
    out.push_back(std::move(taps));
  }
  return out;
}

uint8_t rounded(int64_t sum) {
  constexpr auto kUnit = static_cast<int64_t>(kOne);
  return static_cast<uint8_t>(std::min<int64_t>(255, (sum + kUnit / 2) / kUnit));
}

Picture scale_rows(const Picture& in, const std::vector<Taps>& taps) {
  Picture out{static_cast<int64_t>(taps.size()), in.height, in.channels, {}};
  out.pixels.reserve(taps.size() * static_cast<size_t>(in.height * in.channels));
  for (int64_t y = 0; y < in.height; ++y) {
    const uint8_t* row = in.pixels.data() + y * in.width * in.channels;
    for (const Taps& tap : taps) {
      for (int32_t c = 0; c < in.channels; ++c) {
        int64_t sum = 0;
        const uint8_t* from = row + tap.first * in.channels + c;
        for (const int64_t weight : tap.weights) sum += weight * *from, from += in.channels;
        out.pixels.push_back(rounded(sum));
      }
    }
  }
  return out;
}

Picture scale_columns(const Picture& in, const std::vector<Taps>& taps) {
  Picture out{in.width, static_cast<int64_t>(taps.size()), in.channels, {}};
  const int64_t stride = in.width * in.channels;
  out.pixels.reserve(taps.size() * static_cast<size_t>(stride));
  std::vector<int64_t> sums(static_cast<size_t>(stride));
  for (const Taps& tap : taps) {
    std::ranges::fill(sums, 0);
    const uint8_t* from = in.pixels.data() + tap.first * stride;
    for (const int64_t weight : tap.weights)
      for (int64_t& sum : sums) sum += weight * *from++;
    for (const int64_t sum : sums) out.pixels.push_back(rounded(sum));
  }
  return out;
}

/// The box of `in` whose corner is at `left`, `top`, as a picture of `width` x `height`.
Picture scale(Picture in, double left, double top, double right, double bottom, int64_t width, int64_t height) {
  const double whole_width = static_cast<double>(in.width), whole_height = static_cast<double>(in.height);
  if (left != 0 || right != whole_width || width != in.width)
    in = scale_rows(in, taps_of(in.width, left, right, width));
  if (top != 0 || bottom != whole_height || height != in.height)
    in = scale_columns(in, taps_of(in.height, top, bottom, height));
  return in;
}

Picture padded(const Picture& in, const PictureOptions& options) {
  Picture out{options.width, options.height, in.channels, {}};
  const auto& over = options.over;
  const Colour back = in.channels == 3 ? over : Colour{grey_of(over[0], over[1], over[2])};
  out.pixels.resize(static_cast<size_t>(out.width * out.height * in.channels));
  for (size_t i = 0; i < out.pixels.size(); ++i) out.pixels[i] = back[i % static_cast<size_t>(in.channels)];
  const int64_t left = (out.width - in.width) / 2, top = (out.height - in.height) / 2, stride = in.width * in.channels;
  for (int64_t y = 0; y < in.height; ++y)
    std::memcpy(out.pixels.data() + ((top + y) * out.width + left) * in.channels, in.pixels.data() + y * stride,
                static_cast<size_t>(stride));
  return out;
}

int64_t side_within(int64_t side, double factor, int64_t limit) {
  return std::clamp<int64_t>(std::llround(static_cast<double>(side) * factor), 1, limit);
}

}  // namespace

Picture fit_picture(Picture picture, const PictureOptions& options) {
  const double width = static_cast<double>(picture.width), height = static_cast<double>(picture.height);
  const double by_width = static_cast<double>(options.width) / width;
  const double by_height = static_cast<double>(options.height) / height;
  switch (options.fit) {
    case Fit::Stretch: return scale(std::move(picture), 0, 0, width, height, options.width, options.height);
    case Fit::Pad: {
      const double factor = std::min(by_width, by_height);
      const int64_t inner_width = side_within(picture.width, factor, options.width);
      const int64_t inner_height = side_within(picture.height, factor, options.height);
      return padded(scale(std::move(picture), 0, 0, width, height, inner_width, inner_height), options);
    }
    case Fit::Crop: break;
  }
  // The side that decides is whole, so that no rounding makes a picture of the right shape a cut one.
  const bool wide = by_height > by_width;
  const double cut_width = wide ? static_cast<double>(options.width) / by_height : width;
  const double cut_height = wide ? height : static_cast<double>(options.height) / by_width;
  const double left = (width - cut_width) / 2, top = (height - cut_height) / 2;
  return scale(std::move(picture), left, top, left + cut_width, top + cut_height, options.width, options.height);
}

}  // namespace smelt
