// Sounds from files: which format the first bytes say, and libsndfile's samples mixed to one channel.
#include "runtime/files/decode_sound.h"

#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>

#include <fmt/format.h>

#include "ir/readers.h"
#include "runtime/files/message.h"
#include "runtime/files/sound_container.h"

namespace smelt {
namespace {

using namespace std::string_view_literals;

constexpr int kMaxChannels = 32;
constexpr sf_count_t kBlock = 16384;  // frames that are decoded at a time
constexpr double kLoudest =
    1024;  // decoders overshoot: 16 in one of klettres-data; samples of 16 bits as floats are 32768

struct SoundFormat {
  std::string_view magic;
  size_t offset;  // of the magic
  std::string_view what;
  bool read = false;
  Result<void> (*check)(std::span<const std::byte>, const std::string&) = nullptr;  // of its length
};
constexpr SoundFormat kSoundFormats[] = {
    {"WAVE"sv, 8, "a WAV", true, check_wav},
    {"fLaC"sv, 0, "a FLAC", true},
    {"OggS"sv, 0, "an Ogg", true, check_ogg},
    {"ID3"sv, 0, "an MP3"},
    {"\xFF\xFB"sv, 0, "an MP3"},
    {"\xFF\xF3"sv, 0, "an MP3"},
    {"FORM"sv, 0, "an AIFF"},
    {".snd"sv, 0, "a Sun audio file"},
    {"RF64"sv, 0, "a WAV of more than 4 GiB (RF64)"},
    {"RIFF"sv, 0, "a RIFF file without sound"},
    {"ftyp"sv, 4, "an MP4"},
    {"\x1A\x45\xDF\xA3"sv, 0, "a Matroska or WebM"},
    {"<!DOCTYPE"sv, 0, "an HTML page: the download failed"},
    {"<html"sv, 0, "an HTML page: the download failed"},
    {"version https://git-lfs"sv, 0, "a Git LFS pointer, not the sound itself"},
};
constexpr std::string_view kWhatIsRead = "WAV, FLAC and Ogg (Vorbis, Opus) are read";

std::unexpected<Error> no_sound(const std::string& name, std::string_view what, std::string help = {}) {
  return fail(ErrorKind::Input, fmt::format("{}: {}", printable(name), what), std::move(help));
}

Result<void> check_sound_format(std::span<const std::byte> file, const std::string& name) {
  if (file.empty()) return no_sound(name, "the file is empty");
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  for (const SoundFormat& format : kSoundFormats) {
    if (text.size() < format.offset || !text.substr(format.offset).starts_with(format.magic)) continue;
    if (!format.read)
      return no_sound(
          name, fmt::format("this is {}", format.what),
          fmt::format("{}: convert it, such as with `ffmpeg -i IN OUT.flac`, or leave it out", kWhatIsRead));
    return format.check != nullptr ? format.check(file, name) : Result<void>();
  }
  std::string shown;
  for (const std::byte byte : file.first(std::min<size_t>(file.size(), 4)))
    shown += fmt::format("{}{:02x}", shown.empty() ? "" : " ", std::to_integer<int>(byte));
  return no_sound(name, fmt::format("no sound: begins with the bytes {}", shown),
                  fmt::format("{}; a pattern such as `folder/*.ogg` leaves other files out", kWhatIsRead));
}

/// A file in memory, as libsndfile reads it.
struct SoundSource {
  std::span<const std::byte> file;
  sf_count_t at = 0;
};
sf_count_t source_length(void* self) { return static_cast<sf_count_t>(static_cast<SoundSource*>(self)->file.size()); }
sf_count_t source_tell(void* self) { return static_cast<SoundSource*>(self)->at; }
sf_count_t source_seek(sf_count_t offset, int from, void* self) {
  auto& source = *static_cast<SoundSource*>(self);
  const sf_count_t size = source_length(self);
  const sf_count_t base = from == SEEK_CUR ? source.at : from == SEEK_END ? size : 0;
  if (offset < -base || offset > size - base) return -1;
  return source.at = base + offset;
}
sf_count_t source_read(void* to, sf_count_t bytes, void* self) {
  auto& source = *static_cast<SoundSource*>(self);
  const sf_count_t count = std::clamp<sf_count_t>(source_length(self) - source.at, 0, bytes);
  if (count > 0) std::memcpy(to, source.file.data() + source.at, static_cast<size_t>(count));
  source.at += count;
  return count;
}
sf_count_t source_write(const void* /*from*/, sf_count_t /*bytes*/, void* /*self*/) { return 0; }

struct Close {
  void operator()(SNDFILE* file) const { sf_close(file); }
};
using OpenSound = std::unique_ptr<SNDFILE, Close>;

Result<OpenSound> open_sound(SoundSource& source, SF_INFO& info, const std::string& name) {
  static std::mutex mutex;  // the reason of a failure is a variable of the whole library
  const std::lock_guard lock(mutex);
  SF_VIRTUAL_IO functions{source_length, source_seek, source_read, source_write, source_tell};
  OpenSound sound(sf_open_virtual(&functions, SFM_READ, &info, &source));
  if (!sound) return no_sound(name, fmt::format("damaged: {}", printable(sf_strerror(nullptr))));
  if (info.channels < 1 || info.channels > kMaxChannels)
    return no_sound(name, fmt::format("has {} channels; a sound has 1 to {}", info.channels, kMaxChannels));
  if (info.samplerate < kLeastSoundRate || info.samplerate > kLargestSoundRate)
    return no_sound(name, fmt::format("has {} samples a second; a sound has {} to {}", info.samplerate, kLeastSoundRate,
                                      kLargestSoundRate));
  return sound;
}

/// Appends the mean of the channels of `frames`. Errors: Input for what is no sample.
Result<void> mix(std::span<const float> frames, size_t channels, std::vector<float>& out, const std::string& name) {
  for (size_t i = 0; i < frames.size(); i += channels) {
    double sum = 0;
    for (size_t c = 0; c < channels; ++c) {
      const double value = frames[i + c];
      if (!(std::abs(value) <= kLoudest))
        return no_sound(name, fmt::format("sample {} is {:.6g}; a sound has -1 to 1", out.size(), value),
                        std::isfinite(value) ? "scale it: floats in a sound file are -1 to 1" : "leave it out");
      sum += value;
    }
    out.push_back(static_cast<float>(sum / static_cast<double>(channels)));
  }
  return {};
}

}  // namespace

Result<Sound> decode_sound(std::span<const std::byte> file, const std::string& name, uint64_t max_samples) {
  SMELT_TRY_VOID(check_sound_format(file, name));
  SoundSource source{file};
  SF_INFO info{};
  SMELT_TRY(const OpenSound sound, open_sound(source, info, name));
  Sound out{info.samplerate, {}};
  const auto channels = static_cast<size_t>(info.channels);
  std::vector<float> block(static_cast<size_t>(kBlock) * channels);
  while (const sf_count_t frames = sf_readf_float(sound.get(), block.data(), kBlock)) {
    SMELT_TRY_VOID(mix(std::span(block).first(static_cast<size_t>(frames) * channels), channels, out.samples, name));
    if (out.samples.size() > max_samples)
      return fail(ErrorKind::Limit, fmt::format("{}: has more than {} samples: there is no memory for them",
                                                printable(name), max_samples));
  }
  // FLAC files may say 0 or 2^63-1 when their writer did not know the length.
  const bool known = info.frames > 0 && info.frames < INT64_MAX;
  const auto decoded = static_cast<sf_count_t>(out.samples.size());
  if (sf_error(sound.get()) != SF_ERR_NO_ERROR)
    return no_sound(name, fmt::format("damaged at sample {}: {}", decoded, printable(sf_strerror(sound.get()))));
  if (known && decoded != info.frames)
    return no_sound(name, fmt::format("says that it has {} samples, and {} can be decoded: it is damaged or cut short",
                                      info.frames, decoded));
  if (out.samples.empty()) return no_sound(name, "holds no samples");
  return out;
}

}  // namespace smelt
