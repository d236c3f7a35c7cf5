// PNG and JPEG files as pixels of 8 bits. The first bytes of a file tell what it is, never its name.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ir/support/limits.h"
#include "ir/support/result.h"
#include "runtime/files/png.h"

namespace smelt {

using Colour = std::array<uint8_t, 3>;  // red, green, blue

/// The picture in `file`, with 1 or 3 channels.
///
/// - 16 bits become 8, rounded to the nearest; palettes and greys of 1 to 4 bits become what they stand for.
/// - What is transparent lies over `over`, mixed as the bytes are: out = (a * c + (255 - a) * over) / 255, rounded.
/// - Colours become grey by 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), grey becomes three equal channels.
/// - Colour profiles, gamma and orientation marks are ignored, as by Pillow and torchvision.
///
/// The bits are the same on every machine. Errors: Input naming `name` and what is wrong: empty, of another format,
/// damaged, truncated, CMYK; Limit beyond `limits` or when memory is short.
Result<Picture> decode_picture(std::span<const std::byte> file, const std::string& name, int32_t channels, Colour over,
                               const Limits& limits = {});

/// The formats, each for files that begin as theirs do.
Result<Picture> decode_png(std::span<const std::byte> file, const std::string& name, int32_t channels, Colour over,
                           const Limits& limits);
Result<Picture> decode_jpeg(std::span<const std::byte> file, const std::string& name, int32_t channels, Colour over,
                            const Limits& limits);

/// 0.299 R + 0.587 G + 0.114 B.
constexpr uint8_t grey_of(int red, int green, int blue) {
  return static_cast<uint8_t>((299 * red + 587 * green + 114 * blue + 500) / 1000);
}

/// Errors: Input when there is no such picture; Limit when it is larger than what is decoded.
Result<void> check_picture_size(int64_t width, int64_t height, const std::string& name, const Limits& limits);

}  // namespace smelt
