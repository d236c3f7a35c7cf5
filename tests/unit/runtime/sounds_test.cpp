// Recordings: decoding, rates, windows, and files that are none.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/data/dataset.h"
#include "runtime/data/load_sounds.h"
#include "runtime/files/decode_sound.h"
#include "runtime/files/resample.h"
#include "runtime/files/wav.h"
#include "tests/support/sound_files.h"
#include "tests/unit/runtime/test_files.h"

using namespace smelt;
using namespace smelt::test;

namespace {

constexpr uint64_t kPlenty = 1u << 24;

Result<Sound> decode(const std::string& file, uint64_t max_samples = kPlenty) {
  return decode_sound(as_byte_span(file), "s", max_samples);
}

std::string why(const std::string& file) {
  const std::string message = message_of(decode(file));
  return message.substr(0, message.find(" | "));  // without the help
}

double worst(const std::vector<float>& a, const std::vector<float>& b) {
  double error = a.size() == b.size() ? 0 : std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    error = std::max(error, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return error;
}

std::string with(std::string file, size_t at, std::string_view bytes) { return file.replace(at, bytes.size(), bytes); }

SourceCall recordings(std::vector<std::string> paths, int64_t window) {
  return {.reader = "audio", .paths = std::move(paths), .span = {}, .window = window, .rate = 8000};
}

Result<Dataset> open_sounds(const TempDirectory& directory, const DataPlan& plan, size_t split = 0, int threads = 1) {
  return Dataset::open(plan, plan.splits[split], {{}, directory.path(), {}}, threads);
}

template <typename T>
std::vector<T> values(const LoadedColumn& column) {
  const auto* data = reinterpret_cast<const T*>(column.data.data());
  return {data, data + column.data.size() / sizeof(T)};
}

}  // namespace

TEST_CASE("wav, flac and ogg are read") {
  const std::vector<float> x = tone(440, 8000, 3000);
  for (const auto& [kind, error] : {std::pair(SoundKind::Wav16, 4e-5), std::pair(SoundKind::WavFloat, 0.0),
                                    std::pair(SoundKind::Flac, 4e-5), std::pair(SoundKind::Vorbis, 0.05)}) {
    const Result<Sound> sound = decode(sound_file(kind, 8000, 1, x));
    REQUIRE_MESSAGE(sound, message_of(sound));
    CHECK(sound->rate == 8000);
    CHECK_MESSAGE(worst(sound->samples, x) <= error, worst(sound->samples, x));
  }
}

TEST_CASE("channels are mixed by their mean") {
  const Result<Sound> sound = decode(sound_file(SoundKind::WavFloat, 48000, 3, {0.3f, 0, 0.6f, -1, 1, 0}));
  REQUIRE(sound);
  CHECK(worst(sound->samples, {0.3f, 0}) < 1e-7);
}

TEST_CASE("what is no sound says so") {
  const std::string wav = sound_file(SoundKind::Wav16, 8000, 1, tone(440, 8000, 1000));
  const std::string flac = sound_file(SoundKind::Flac, 8000, 1, tone(440, 8000, 30000));
  const std::string ogg = sound_file(SoundKind::Vorbis, 8000, 1, tone(440, 8000, 30000));
  CHECK(why("") == "s: the file is empty");
  CHECK(why("hello") == "s: no sound: begins with the bytes 68 65 6c 6c");
  CHECK(why("ID3\x03") == "s: this is an MP3");
  CHECK(why("<!DOCTYPE html>") == "s: this is an HTML page: the download failed");
  CHECK(why(wav.substr(0, 1000)) == "s: says that its samples take 2000 bytes, and 956 follow: it is cut short");
  CHECK(why(wav.substr(0, 40)) == "s: has no chunk `data`: it is cut short");
  CHECK(why(wav.substr(0, 20)) == "s: its chunk `fmt ` has 0 bytes, and 16 are needed");
  CHECK(why(wav.substr(0, 12)) == "s: has no chunk `fmt `: it is cut short");
  CHECK(why(with(wav, 22, std::string_view("\0\0", 2))) == "s: says that it has 0 channels");
  CHECK(why(with(wav, 24, std::string_view("\0\0\0\0", 4))) == "s: says that it has 0 samples a second");
  CHECK(why(with(wav, 32, std::string_view("\0\0", 2))) == "s: says that a sample of all channels takes 0 bytes");
  CHECK(why(with(wav, 34, std::string_view("\x0c\0", 2))) == "s: says that its samples are whole numbers of 12 bits");
  CHECK(why(with(wav, 40, std::string_view("\0\0\0\0", 4))) == "s: holds no samples");
  CHECK(why(with(wav, 40, std::string_view("\x87\1\0\0", 4))) ==
        "s: says that its samples take 391 bytes, which is no whole number of 2: it is damaged or cut short");
  CHECK(why(with(wav, 40, "\xff\xff\xff\xff")) == "ok");  // by a program that did not know the end
  CHECK(why(flac.substr(0, flac.size() / 2)).find("s: ") == 0);
  CHECK(why(flac.substr(0, 30)).find("s: ") == 0);
  CHECK_MESSAGE(why(ogg.substr(0, ogg.size() - 7)).find("it is cut short") != std::string::npos,
                why(ogg.substr(0, ogg.size() - 7)));
  CHECK(why(ogg.substr(0, 100)).find("s: ") == 0);
  CHECK(why(sound_file(SoundKind::Wav16, 8000, 40, std::vector<float>(400))) ==
        "s: has 40 channels; a sound has 1 to 32");
  CHECK(why(sound_file(SoundKind::Wav16, 100, 1, std::vector<float>(400))) ==
        "s: has 100 samples a second; a sound has 2000 to 384000");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(why(sound_file(SoundKind::WavFloat, 8000, 1, {0, nan})) == "s: sample 1 is nan; a sound has -1 to 1");
  CHECK(why(sound_file(SoundKind::WavFloat, 8000, 1, {0, 20000})) == "s: sample 1 is 20000; a sound has -1 to 1");
}

TEST_CASE("a length that a file only claims takes no memory") {
  std::string flac = sound_file(SoundKind::Flac, 8000, 1, tone(440, 8000, 3000));
  // 36 bits of the samples in STREAMINFO, whose block begins at byte 8.
  flac[21] = static_cast<char>(flac[21] | 0x0F);
  flac.replace(22, 4, "\xff\xff\xff\xff");
  CHECK(why(flac) == "s: says that it has 68719476735 samples, and 3000 can be decoded: it is damaged or cut short");
  const Result<Sound> much = decode(sound_file(SoundKind::Wav16, 8000, 1, std::vector<float>(40000)), 30000);
  CHECK(message_of(much) == "s: has more than 30000 samples: there is no memory for them");
}

TEST_CASE("every file that is cut somewhere, or has a wrong byte, is read or refused") {
  for (const SoundKind kind : {SoundKind::Wav16, SoundKind::Flac, SoundKind::Vorbis}) {
    const std::string file = sound_file(kind, 8000, 2, tone(440, 8000, 2000));
    for (size_t i = 0; i < 400; ++i) {
      (void)decode(file.substr(0, file.size() * i / 400));
      std::string damaged = file;
      damaged[i * 7919 % file.size()] = static_cast<char>(i * 31);
      const Result<Sound> sound = decode(damaged);
      if (sound) CHECK(std::ranges::all_of(sound->samples, [](float s) { return std::isfinite(s); }));
    }
  }
}

TEST_CASE("a sound keeps its tones at another rate, and loses those that it cannot have") {
  for (const auto& [from, to] : {std::pair(44100, 8000), std::pair(8000, 44100), std::pair(22050, 16000)}) {
    const std::vector<float> out = resample(tone(440, from, from), from, to), wanted = tone(440, to, to);
    REQUIRE(out.size() == static_cast<size_t>(to));
    double error = 0;
    for (size_t i = 200; i + 200 < out.size(); ++i)
      error = std::max(error, std::abs(static_cast<double>(out[i]) - static_cast<double>(wanted[i])));
    CHECK_MESSAGE(error < 1e-3, error);
  }
  const std::vector<float> high = resample(tone(10000, 44100, 44100), 44100, 8000);
  for (size_t i = 200; i + 200 < high.size(); ++i) CHECK(std::abs(high[i]) < 2e-3f);
  CHECK(resample(std::vector<float>{1, 2, 3}, 8000, 8000) == std::vector<float>{1, 2, 3});
  CHECK(resample(std::vector<float>(7), 44100, 8000).size() == 2);
}

TEST_CASE("recordings become windows, and the last one of each is filled up with silence") {
  TempDirectory directory;
  std::filesystem::create_directories(directory / "s/deep");
  write_raw(directory / "s/b.wav", sound_file(SoundKind::WavFloat, 8000, 1, {0.5f, 0.25f, -0.5f, 1, -1}));
  write_raw(directory / "s/a.flac", sound_file(SoundKind::Flac, 8000, 1, {0.125f, 0.25f}));
  write_raw(directory / "s/deep/c.wav", sound_file(SoundKind::WavFloat, 8000, 1, {2, 0}));
  write_raw(directory / "s/notes.txt", "not read");
  for (const char* place : {"s", "s/**/*.*a*"}) {
    const auto set = open_sounds(directory, plan_of(recordings({place}, 3)), 0, 2);
    REQUIRE_MESSAGE(set, message_of(set));
    CHECK(set->rows() == 4);
    CHECK(values<float>(set->columns()[0]) ==
          std::vector<float>{0.125f, 0.25f, 0, 0.5f, 0.25f, -0.5f, 1, -1, 0, 1, 0, 0});  // and 2 is clamped
    CHECK(values<int32_t>(set->columns()[1]) == std::vector<int32_t>{2, 3, 2, 2});
  }
  CHECK(open_sounds(directory, plan_of(recordings({"s/b.wav", "s/b.wav", "s/a.flac"}, 3)))->rows() == 3);
}

TEST_CASE("a split has whole recordings") {
  TempDirectory directory;
  std::filesystem::create_directories(directory / "s");
  for (int i = 0; i < 10; ++i)
    write_raw(directory / fmt::format("s/{}.wav", i),
              sound_file(SoundKind::WavFloat, 8000, 1, std::vector<float>(7, static_cast<float>(i) / 16)));
  DataPlan plan = plan_of(recordings({"s"}, 2));
  plan.splits = {{"train", plan.splits[0].source, {0, 0.7}}, {"valid", plan.splits[0].source, {0.7, 1}}};
  plan.seed = 5;
  std::vector<float> all;
  for (size_t split = 0; split < 2; ++split) {
    const auto set = open_sounds(directory, plan, split), again = open_sounds(directory, plan, split, 3);
    REQUIRE_MESSAGE(set, message_of(set));
    CHECK(set->rows() == (split == 0 ? 28 : 12));
    CHECK(set->fingerprint() == again->fingerprint());
    const std::vector<float> x = values<float>(set->columns()[0]);
    for (size_t row = 0; row < x.size(); row += 2)
      if (row % 8 == 0) all.push_back(x[row]);
  }
  std::ranges::sort(all);
  REQUIRE(all.size() == 10);
  for (size_t i = 0; i < 10; ++i) CHECK(all[i] == static_cast<float>(i) / 16);
}

TEST_CASE("places without recordings say so") {
  TempDirectory directory;
  std::filesystem::create_directories(directory / "s");
  write_raw(directory / "s/notes.txt", "not read");
  CHECK(message_of(open_sounds(directory, plan_of(recordings({"s"}, 3)))).find("has no .wav, .flac or .ogg") !=
        std::string::npos);
  CHECK(message_of(open_sounds(directory, plan_of(recordings({"s/*.ogg"}, 3)))).find("no file matches") !=
        std::string::npos);
  CHECK(message_of(open_sounds(directory, plan_of(recordings({"none"}, 3)))).find("cannot find") != std::string::npos);
  write_raw(directory / "s/a.wav", "RIFF");
  CHECK(message_of(open_sounds(directory, plan_of(recordings({"s"}, 3)))).find("s/a.wav: this is a RIFF file") !=
        std::string::npos);
}

TEST_CASE("a written sound reads as it was") {
  const std::vector<float> x = {0, 0.5f, -0.25f, 1, -1};
  const Result<std::string> file = encode_wav(x, 11025);
  REQUIRE(file);
  const Result<Sound> sound = decode(*file);
  REQUIRE_MESSAGE(sound, message_of(sound));
  CHECK(sound->rate == 11025);
  CHECK(worst(sound->samples, x) < 1.0 / 32767);
  const Result<std::string> odd = encode_wav(std::vector<float>{7, -7, std::numeric_limits<float>::quiet_NaN()}, 8000);
  CHECK(worst(decode(*odd)->samples, {1, -1, 0}) < 1.0 / 32767);
}
