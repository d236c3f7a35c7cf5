#include "runtime/data/read_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>

#include "runtime/data/fit_picture.h"
#include "runtime/files/decode_picture.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"
#include "runtime/thread_pool.h"

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

class Work {
 public:
  Work(std::span<const PictureFile> files, const PictureOptions& options, std::span<uint8_t> rows)
      : files_(files), options_(options), rows_(rows) {}

  void run() {
    const size_t row = rows_.size() / files_.size();
    // Threads take the next picture that no one has, so a large one delays nobody. Behind a failure nothing matters.
    for (size_t i = next_++; i < files_.size() && i < failed_at_; i = next_++) {
      if (auto done = decode(files_[i], rows_.data() + i * row); !done) report(i, std::move(done).error());
    }
  }

  Result<void> result() {
    if (error_) return std::unexpected(std::move(*error_));
    return {};
  }

 private:
  Result<void> decode(const PictureFile& file, uint8_t* to) const try {
    SMELT_TRY(const Buffer bytes, read_file(file.path));
    SMELT_TRY(Picture picture,
              decode_picture(bytes.bytes(), file.path, static_cast<int32_t>(options_.channels), options_.over));
    store_planes(fit_picture(std::move(picture), options_), to);
    return {};
  } catch (const std::bad_alloc&) {  // on a thread of the pool nobody else would catch it
    return fail(ErrorKind::Limit, fmt::format("{}: out of memory while decoding it", printable(file.path)));
  }

  /// Pictures are taken in order, so each one before the first failure is decoded, and the first failure is the same on
  /// any number of threads.
  void report(size_t index, Error error) {
    const std::lock_guard lock(mutex_);
    if (index >= failed_at_) return;
    failed_at_ = index;
    error_ = std::move(error);
  }

  std::span<const PictureFile> files_;
  const PictureOptions& options_;
  std::span<uint8_t> rows_;
  std::atomic<size_t> next_ = 0;
  std::atomic<size_t> failed_at_ = std::numeric_limits<size_t>::max();
  std::mutex mutex_;
  std::optional<Error> error_;
};

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

Result<HostTensor> read_pictures(std::span<const PictureFile> files, const PictureOptions& options, int threads) {
  const auto count = static_cast<int64_t>(files.size());
  SMELT_TRY_VOID(check_memory(files.size(), options));
  SMELT_TRY(HostTensor out, HostTensor::zeros(DType::U8, {count, options.channels, options.height, options.width},
                                              fmt::format("{} pictures", count)));
  if (files.empty()) return out;
  Work work(files, options, out.as<uint8_t>());
  threads = static_cast<int>(std::min<int64_t>(threads, count));
  std::unique_ptr<ThreadPool> pool;
  if (threads > 1) {
    if (auto made = ThreadPool::create(threads)) pool = std::move(*made);
  }
  if (pool)
    pool->parallel([](void* self, int32_t, int32_t) { static_cast<Work*>(self)->run(); }, &work);
  else
    work.run();  // also where the system has no threads to give
  SMELT_TRY_VOID(work.result());
  return out;
}

}  // namespace smelt
