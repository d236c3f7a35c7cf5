// What WAV and Ogg files say of their own length.
#include "runtime/files/sound_container.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/files/message.h"

namespace smelt {
namespace {

uint64_t little_endian(std::span<const std::byte> file, size_t at, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= std::to_integer<uint64_t>(file[at + i]) << 8 * i;
  return value;
}

std::unexpected<Error> bad_length(const std::string& name, std::string_view what, std::string help = {}) {
  return fail(ErrorKind::Input, fmt::format("{}: {}", printable(name), what), std::move(help));
}

// Codes of the chunk `fmt `. Other codes than these are known to libsndfile or to nobody.
struct Encoding {
  uint64_t code;
  std::string_view name;
  std::initializer_list<uint64_t> bits;
};
const Encoding kEncodings[] = {
    {1, "whole numbers", {8, 16, 24, 32}}, {3, "floats", {32, 64}}, {6, "A-law", {8}}, {7, "mu-law", {8}}};
constexpr uint64_t kExtensible = 0xFFFE;
constexpr size_t kFormatBytes = 16, kExtensibleBytes = 26;  // up to where they say the encoding

/// The bytes of which the samples are a whole number: those of a sample of all channels, or 1 of a code that packs
/// several.
Result<uint64_t> check_format(std::span<const std::byte> chunk, const std::string& name) {
  if (chunk.size() < kFormatBytes)
    return bad_length(name,
                      fmt::format("its chunk `fmt ` has {} bytes, and {} are needed", chunk.size(), kFormatBytes));
  const uint64_t channels = little_endian(chunk, 2, 2), rate = little_endian(chunk, 4, 4);
  const uint64_t align = little_endian(chunk, 12, 2), bits = little_endian(chunk, 14, 2);
  if (channels == 0) return bad_length(name, "says that it has 0 channels");
  if (rate == 0) return bad_length(name, "says that it has 0 samples a second");
  if (align == 0) return bad_length(name, "says that a sample of all channels takes 0 bytes");
  uint64_t code = little_endian(chunk, 0, 2);
  if (code == kExtensible && chunk.size() >= kExtensibleBytes) code = little_endian(chunk, 24, 2);
  for (const Encoding& encoding : kEncodings) {
    if (encoding.code != code) continue;
    if (std::ranges::find(encoding.bits, bits) != encoding.bits.end()) return align;
    return bad_length(name, fmt::format("says that its samples are {} of {} bits", encoding.name, bits),
                      fmt::format("they may have {} bits", fmt::join(encoding.bits, ", ")));
  }
  return 1;
}

}  // namespace

Result<void> check_wav(std::span<const std::byte> file, const std::string& name) {
  constexpr size_t kRiffBytes = 12, kHeaderBytes = 8;
  constexpr uint64_t kUntilTheEnd = 0xFFFFFFFF;
  uint64_t align = 0;  // 0: there was no `fmt ` yet
  for (size_t at = kRiffBytes; at + kHeaderBytes <= file.size();) {
    const std::string_view id(reinterpret_cast<const char*>(file.data()) + at, 4);
    const uint64_t bytes = little_endian(file, at + 4, 4);
    at += kHeaderBytes;
    const uint64_t rest = file.size() - at;
    if (id == "fmt ") {
      SMELT_TRY(align, check_format(file.subspan(at, std::min(bytes, rest)), name));
    }
    if (id == "data") {
      if (align == 0) return bad_length(name, "its samples come before the chunk `fmt ` that says what they are");
      if (bytes == 0 || rest == 0) return bad_length(name, "holds no samples");
      if (bytes > rest && bytes != kUntilTheEnd)
        return bad_length(
            name, fmt::format("says that its samples take {} bytes, and {} follow: it is cut short", bytes, rest));
      if (bytes % align != 0 && bytes != kUntilTheEnd)
        return bad_length(name,
                          fmt::format("says that its samples take {} bytes, which is no whole number of {}: it is "
                                      "damaged or cut short",
                                      bytes, align));
      return {};
    }
    if (bytes > rest) break;
    at += bytes + bytes % 2;
  }
  return bad_length(name, align != 0 ? "has no chunk `data`: it is cut short" : "has no chunk `fmt `: it is cut short");
}

Result<void> check_ogg(std::span<const std::byte> file, const std::string& name) {
  constexpr size_t kHeaderBytes = 27;
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  const size_t last = text.rfind("OggS");
  const std::string_view page = text.substr(last == std::string_view::npos ? text.size() : last);
  size_t bytes = kHeaderBytes;
  if (page.size() >= kHeaderBytes) {
    const size_t segments = static_cast<unsigned char>(page[kHeaderBytes - 1]);
    bytes += segments;
    for (const char segment : page.substr(kHeaderBytes, segments)) bytes += static_cast<unsigned char>(segment);
  }
  if (page.size() >= bytes) return {};
  return bad_length(name, fmt::format("its last page has {} of {} bytes: it is cut short", page.size(), bytes));
}

}  // namespace smelt
