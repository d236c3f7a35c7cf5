#include "runtime/data/read_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "runtime/data/each_in_order.h"
#include "runtime/data/fit_picture.h"
#include "runtime/files/decode_picture.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

// Pictures stay decoded, because decoding them again each epoch would take 0.3 ms for a sprite of 72 x 72 and 29 ms for
// a progressive JPEG of 1024 x 768. A fifth of the free memory is left for the model and the cache of files.
constexpr double kShareOfMemory = 0.8;

/// HWC -> CHW.
void store_planes(const Picture& picture, uint8_t* to) {
  const auto channels = static_cast<size_t>(picture.channels);
  const size_t plane = picture.pixels.size() / channels;
  for (size_t c = 0; c < channels; ++c)
    for (size_t i = 0; i < plane; ++i) *to++ = picture.pixels[i * channels + c];
}

Result<void> decode(const PictureFile& file, const PictureOptions& options, const Limits& limits, uint8_t* to) try {
  SMELT_TRY(const Buffer bytes, read_file(file.path, limits));
  SMELT_TRY(Picture picture,
            decode_picture(bytes.bytes(), file.path, static_cast<int32_t>(options.channels), options.over, limits));
  store_planes(fit_picture(std::move(picture), options), to);
  return {};
} catch (const std::bad_alloc&) {
  return fail(ErrorKind::Limit, fmt::format("{}: out of memory while decoding it", printable(file.path)));
}

Result<void> check_memory(size_t count, const PictureOptions& options) {
  const double bytes = static_cast<double>(count) * static_cast<double>(options.channels) *
                       static_cast<double>(options.height) * static_cast<double>(options.width);
  const uint64_t available = available_memory();
  if (available == 0 || bytes <= kShareOfMemory * static_cast<double>(available)) return {};
  return fail(ErrorKind::Limit,
              fmt::format("{} pictures of {} x {} x {} take {}, and {} of memory are free", count, options.channels,
                          options.height, options.width, human_bytes(static_cast<uint64_t>(std::min(bytes, 0x1p62))),
                          human_bytes(available)),
              "make them smaller with `size`, or take fewer: they are kept in memory");
}

}  // namespace

Result<HostTensor> read_pictures(std::span<const PictureFile> files, const PictureOptions& options,
                                 const Limits& limits, int threads) {
  const auto count = static_cast<int64_t>(files.size());
  SMELT_TRY_VOID(check_memory(files.size(), options));
  SMELT_TRY(HostTensor out, HostTensor::zeros(DType::U8, {count, options.channels, options.height, options.width},
                                              fmt::format("{} pictures", count)));
  if (files.empty()) return out;
  const std::span<uint8_t> rows = out.as<uint8_t>();
  const size_t row = rows.size() / files.size();
  SMELT_TRY_VOID(each_in_order(files.size(), threads,
                               [&](size_t i) { return decode(files[i], options, limits, rows.data() + i * row); }));
  return out;
}

}  // namespace smelt
