#include "tests/support/sound_files.h"

#include <sndfile.h>

#include <cmath>
#include <cstring>
#include <numbers>

namespace smelt::test {
namespace {

constexpr int kFormats[] = {SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_WAV | SF_FORMAT_FLOAT,
                            SF_FORMAT_FLAC | SF_FORMAT_PCM_16, SF_FORMAT_OGG | SF_FORMAT_VORBIS,
                            SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III};

struct Memory {
  std::string bytes;
  sf_count_t at = 0;
};
sf_count_t length(void* self) { return static_cast<sf_count_t>(static_cast<Memory*>(self)->bytes.size()); }
sf_count_t tell(void* self) { return static_cast<Memory*>(self)->at; }
sf_count_t seek(sf_count_t offset, int from, void* self) {
  auto& memory = *static_cast<Memory*>(self);
  return memory.at = offset + (from == SEEK_CUR ? memory.at : from == SEEK_END ? length(self) : 0);
}
sf_count_t read(void*, sf_count_t, void*) { return 0; }
sf_count_t write(const void* from, sf_count_t count, void* self) {
  auto& memory = *static_cast<Memory*>(self);
  const auto at = static_cast<size_t>(memory.at), bytes = static_cast<size_t>(count);
  if (memory.bytes.size() < at + bytes) memory.bytes.resize(at + bytes);
  std::memcpy(memory.bytes.data() + at, from, bytes);
  memory.at += count;
  return count;
}

}  // namespace

std::string sound_file(SoundKind kind, int rate, int channels, const std::vector<float>& samples) {
  Memory memory;
  SF_VIRTUAL_IO functions{length, seek, read, write, tell};
  SF_INFO info{};
  info.samplerate = rate;
  info.channels = channels;
  info.format = kFormats[static_cast<size_t>(kind)];
  SNDFILE* file = sf_open_virtual(&functions, SFM_WRITE, &info, &memory);
  if (file == nullptr) return {};
  sf_command(file, SFC_SET_CLIPPING, nullptr, SF_TRUE);
  sf_writef_float(file, samples.data(), static_cast<sf_count_t>(samples.size()) / channels);
  sf_close(file);
  return memory.bytes;
}

std::vector<float> tone(double hertz, int rate, int count) {
  std::vector<float> samples;
  for (int i = 0; i < count; ++i)
    samples.push_back(static_cast<float>(0.5 * std::sin(2 * std::numbers::pi * hertz * i / rate)));
  return samples;
}

}  // namespace smelt::test
