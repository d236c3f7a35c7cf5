// One split of recordings: which it has, their samples at the rate of the rows, cut into windows.
#include "runtime/data/load_sounds.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include <fmt/format.h>

#include "runtime/available_memory.h"
#include "runtime/data/each_in_order.h"
#include "runtime/data/recording_list.h"
#include "runtime/data/split_rows.h"
#include "runtime/files/decode_sound.h"
#include "runtime/files/file.h"
#include "runtime/files/message.h"
#include "runtime/files/resample.h"

namespace smelt {
namespace {

constexpr double kShareForSounds = 0.4;  // for samples, which are there twice while they are cut into windows

/// Decodes recordings into memory that all of them share.
class Recordings {
 public:
  Recordings(std::vector<std::string> files, int64_t rate, const Limits& limits)
      : files_(std::move(files)), rate_(rate), limits_(limits), sounds_(files_.size()), left_(samples_that_fit()) {}

  Result<void> decode(size_t i) {
    SMELT_TRY(const Buffer bytes, read_file(files_[i], limits_));
    SMELT_TRY(const Sound sound,
              decode_sound(bytes.bytes(), files_[i], static_cast<uint64_t>(std::max<int64_t>(left_, 0))));
    sounds_[i] = resample(sound.samples, sound.rate, rate_);
    for (float& sample : sounds_[i]) sample = std::clamp(sample, -1.0f, 1.0f);  // the filter may overshoot
    if ((left_ -= static_cast<int64_t>(sounds_[i].size())) >= 0) return {};
    return fail(ErrorKind::Limit,
                fmt::format("{}: there is no memory for it and the {} recordings before", printable(files_[i]), i),
                "take fewer, or a lower `rate`: they are kept in memory");
  }

  size_t count() const { return files_.size(); }
  const std::vector<float>& sound(size_t i) const { return sounds_[i]; }
  const std::string& file(size_t i) const { return files_[i]; }

 private:
  static int64_t samples_that_fit() {
    const uint64_t available = available_memory();
    if (available == 0) return std::numeric_limits<int64_t>::max();
    return static_cast<int64_t>(kShareForSounds * static_cast<double>(available) / sizeof(float));
  }

  std::vector<std::string> files_;
  const int64_t rate_;
  const Limits& limits_;
  std::vector<std::vector<float>> sounds_;
  std::atomic<int64_t> left_;
};

Result<LoadedSounds> cut(const Recordings& recordings, const SourceCall& source) {
  const auto window = static_cast<size_t>(source.window);
  int64_t rows = 0;
  for (size_t i = 0; i < recordings.count(); ++i)
    rows += static_cast<int64_t>((recordings.sound(i).size() + window - 1) / window);
  if (rows > std::numeric_limits<int32_t>::max())
    return fail(ErrorKind::Limit, fmt::format("the recordings have {} windows, the limit is 2^31-1", rows));
  LoadedSounds out;
  SMELT_TRY(out.windows, HostTensor::zeros(DType::F32, {rows, source.window}, "the windows of recordings"));
  SMELT_TRY(out.lengths, HostTensor::zeros(DType::I32, {rows}, "the lengths of windows"));
  float* to = out.windows.as<float>().data();
  for (size_t i = 0; i < recordings.count(); ++i) {
    const std::vector<float>& sound = recordings.sound(i);
    for (size_t begin = 0; begin < sound.size(); begin += window, to += window) {
      const size_t length = std::min(window, sound.size() - begin);
      std::copy_n(sound.begin() + static_cast<ptrdiff_t>(begin), length, to);
      out.lengths.as<int32_t>()[out.names.size()] = static_cast<int32_t>(length);
      out.names.push_back(fmt::format("{} from {:.3f} s on", recordings.file(i),
                                      static_cast<double>(begin) / static_cast<double>(source.rate)));
    }
  }
  return out;
}

}  // namespace

Result<LoadedSounds> load_sounds(const DataPlan& plan, const Split& split, std::span<const std::string> places,
                                 const Limits& limits, int threads) {
  SMELT_TRY(const std::vector<std::string> all, list_recordings(places));
  SMELT_TRY(const std::vector<int32_t> chosen, rows_of_split(plan, split, static_cast<int64_t>(all.size())));
  std::vector<std::string> files;
  for (const int32_t i : chosen) files.push_back(all[static_cast<size_t>(i)]);
  Recordings recordings(std::move(files), split.source.rate, limits);
  SMELT_TRY_VOID(each_in_order(recordings.count(), threads, [&](size_t i) { return recordings.decode(i); }));
  return cut(recordings, split.source);
}

}  // namespace smelt
