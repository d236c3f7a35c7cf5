// Small PNG and JPEG files for tests, of every kind that libpng and libjpeg write.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace smelt::test {

struct PngKind {
  int colour = 2;  // PNG_COLOR_TYPE_..
  int depth = 8;
  bool interlaced = false;
  std::vector<uint8_t> palette = {};       // triples
  std::vector<uint8_t> transparency = {};  // an alpha for each of them
};
/// `rows` are the bytes of each row as the kind has them; 16 bits are big-endian.
std::string png_file(int width, int height, const std::vector<uint8_t>& rows, const PngKind& kind);

/// `channels` 1, 3 or, for four printer's colours, 4.
std::string jpeg_file(int width, int height, int channels, const std::vector<uint8_t>& pixels);

/// RGB of one colour.
std::string plain_png(int width, int height, uint8_t red, uint8_t green, uint8_t blue);

}  // namespace smelt::test
