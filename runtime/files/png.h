// Writes 8-bit PNG pictures, grey or RGB.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ir/support/result.h"

namespace smelt {

struct Picture {
  int64_t width = 0, height = 0;
  int32_t channels = 1;         // 1 grey, 3 RGB
  std::vector<uint8_t> pixels;  // rows from the top, channels innermost
};

/// Latin-1 key and text of a tEXt chunk, such as {"smelt:seed", "7"}.
using PngTexts = std::vector<std::pair<std::string, std::string>>;

/// The file's bytes; equal pictures and texts give equal bytes.
/// Errors: Output when the picture is empty, larger than 2^28 pixels, or libpng refuses it.
Result<std::string> encode_png(const Picture& picture, const PngTexts& texts = {});
/// Errors: as encode_png, and Output when `path` cannot be written.
Result<void> write_png(const std::string& path, const Picture& picture, const PngTexts& texts = {});

}  // namespace smelt
