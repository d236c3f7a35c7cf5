#include "runtime/data/read_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <optional>

#include "runtime/available_memory.h"
#include "runtime/data/each_in_order.h"
#include "runtime/data/fit_picture.h"
#include "runtime/files/decode_picture.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

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

/// Decoded pictures are kept, because decoding them again each epoch would take 0.3 ms for a sprite of 72 x 72 and 29
/// ms for a progressive JPEG of 1024 x 768: in memory, where a fifth of what is free is left for the model and the
/// cache of files, else in a file, of which the system keeps in memory what has room.
Result<HostTensor> room_for(size_t count, const PictureOptions& options, const DataPaths& paths,
                            std::vector<std::string>& notes) {
  HostTensor out{DType::U8, {static_cast<int64_t>(count), options.channels, options.height, options.width}, {}};
  const std::string what = fmt::format("{} pictures", count);
  const std::optional<uint64_t> bytes = byte_size(out.dtype, out.shape);
  const uint64_t available = available_memory();
  const double share = static_cast<double>(paths.limits.decoded) / 100;
  const bool fits = available == 0 || !bytes || static_cast<double>(*bytes) <= share * static_cast<double>(available);
  if (fits) return HostTensor::zeros(out.dtype, out.shape, what);
  SMELT_TRY(out.data, Buffer::in_file(*bytes, paths.scratch_directory, what));
  notes.push_back(fmt::format(
      "{} of {} x {} x {} take {}, and {} of memory are free: they are kept in a file in `{}` while the program runs",
      what, options.channels, options.height, options.width, human_bytes(*bytes), human_bytes(available),
      printable(paths.scratch_directory)));
  return out;
}

}  // namespace

Result<HostTensor> read_pictures(std::span<const PictureFile> files, const PictureOptions& options,
                                 const DataPaths& paths, int threads, std::vector<std::string>& notes) {
  SMELT_TRY(HostTensor out, room_for(files.size(), options, paths, notes));
  if (files.empty()) return out;
  const std::span<uint8_t> rows = out.as<uint8_t>();
  const size_t row = rows.size() / files.size();
  SMELT_TRY_VOID(each_in_order(
      files.size(), threads, [&](size_t i) { return decode(files[i], options, paths.limits, rows.data() + i * row); }));
  return out;
}

}  // namespace smelt
