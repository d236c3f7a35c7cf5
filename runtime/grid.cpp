#include "runtime/grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace smelt {
namespace {

constexpr int64_t kPadding = 2;
constexpr int64_t kMinSide = 512;

struct Layout {
  int64_t count, channels, height, width, columns, rows, scale;
  int64_t sheet_width() const { return columns * (width + kPadding) + kPadding; }
  int64_t sheet_height() const { return rows * (height + kPadding) + kPadding; }
};

Result<Layout> plan(const HostTensor& images, const GridOptions& options) {
  const std::vector<int64_t>& shape = images.shape;
  const size_t rank = shape.size();
  const int64_t channels = rank == 4 ? shape[1] : 1;
  if ((rank != 3 && rank != 4) || (channels != 1 && channels != 3)) {
    return fail(ErrorKind::Usage,
                fmt::format("a picture of {}: expected [N, H, W] or [N, C, H, W] with C = 1 or 3",
                            describe(images.dtype, shape)),
                "`reshape` a flat axis to height and width first");
  }
  Layout layout{shape[0], channels, shape[rank - 2], shape[rank - 1], options.columns, 0, 1};
  if (layout.count < 1 || layout.height < 1 || layout.width < 1) {
    return fail(ErrorKind::Usage, fmt::format("a picture of {} is empty", describe(images.dtype, shape)));
  }
  if (options.columns < 1)
    layout.columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(layout.count))));
  layout.columns = std::min(layout.columns, layout.count);
  layout.rows = (layout.count + layout.columns - 1) / layout.columns;
  const int64_t side = std::max(layout.sheet_width(), layout.sheet_height());
  layout.scale = std::max<int64_t>(1, (kMinSide + side - 1) / side);
  const double pixels = static_cast<double>(layout.sheet_width()) * static_cast<double>(layout.sheet_height()) *
                        static_cast<double>(layout.scale * layout.scale);
  if (pixels > static_cast<double>(options.limits.pixels)) {
    return fail(ErrorKind::Limit,
                fmt::format("a sheet of {} x {} pixels, the limit is {} in all", layout.scale * layout.sheet_width(),
                            layout.scale * layout.sheet_height(), options.limits.pixels),
                raise_limit(&Limits::pixels, static_cast<uint64_t>(std::min(pixels, 0x1p62))));
  }
  return layout;
}

uint8_t to_byte(double value, const GridOptions& options) {
  const double scaled = (value - options.low) / (options.high - options.low) * 255.0;
  if (!(scaled > 0)) return 0;  // NaN too
  return static_cast<uint8_t>(std::min(scaled, 255.0) + 0.5);
}

}  // namespace

Result<Picture> make_grid(const HostTensor& images, const GridOptions& options) {
  SMELT_TRY(const Layout layout, plan(images, options));
  const int64_t scale = layout.scale;
  Picture picture;
  picture.width = layout.sheet_width() * scale;
  picture.height = layout.sheet_height() * scale;
  picture.channels = static_cast<int32_t>(layout.channels);
  picture.pixels.assign(static_cast<size_t>(picture.width * picture.height * layout.channels), 0);
  const int64_t plane = layout.height * layout.width;
  for (int64_t n = 0; n < layout.count; ++n) {
    const int64_t top = ((n / layout.columns) * (layout.height + kPadding) + kPadding) * scale;
    const int64_t left = ((n % layout.columns) * (layout.width + kPadding) + kPadding) * scale;
    for (int64_t y = 0; y < layout.height * scale; ++y) {
      uint8_t* out = picture.pixels.data() + ((top + y) * picture.width + left) * layout.channels;
      for (int64_t x = 0; x < layout.width * scale; ++x) {
        const int64_t pixel = n * layout.channels * plane + (y / scale) * layout.width + x / scale;
        for (int64_t c = 0; c < layout.channels; ++c) *out++ = to_byte(element(images, pixel + c * plane), options);
      }
    }
  }
  return picture;
}

}  // namespace smelt
