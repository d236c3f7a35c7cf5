// PNG by libpng: every kind becomes red, green, blue and alpha of 8 bits, which lie over a colour then.
#include <fmt/format.h>
#include <png.h>

#include <csetjmp>
#include <cstring>
#include <vector>

#include "runtime/buffer.h"
#include "runtime/files/decode_picture.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

constexpr png_uint_32 kMaxSide = 1'000'000;
constexpr uint64_t kMaxRatio = 1032;  // of deflate: 258 bytes take two bits at least
constexpr uint64_t kSlackBytes = 4096;

// libpng reports errors by longjmp, which runs no destructors. So everything with a destructor lives here, outside of
// the functions that libpng may leave.
struct PngDecoder {
  std::span<const std::byte> file;
  const std::string& name;
  const Limits& limits;
  size_t at = 0;
  std::string error;
  std::optional<Error> refused;  // by us: says more than `error`
  int64_t width = 0, height = 0;
  Buffer pixels;  // RGBA
  std::vector<png_bytep> rows;

  /// False when the picture is refused.
  bool make_room(uint64_t stored_bytes) {
    if (auto sized = check_picture_size(width, height, name, limits); !sized) {
      refused = std::move(sized).error();
    } else if (stored_bytes > kMaxRatio * file.size() + kSlackBytes) {
      refused = Error{ErrorKind::Input,
                      fmt::format("{}: says that it has {} x {} pixels, which its {} cannot hold", printable(name),
                                  width, height, human_bytes(file.size())),
                      "the file is damaged or truncated: copy or download it again",
                      {}};
    } else if (auto made = Buffer::allocate(static_cast<uint64_t>(width * height) * 4, printable(name)); !made) {
      refused = std::move(made).error();
    } else {
      pixels = std::move(*made);
      rows.resize(static_cast<size_t>(height));
      for (size_t y = 0; y < rows.size(); ++y)
        rows[y] = reinterpret_cast<png_bytep>(pixels.data()) + y * static_cast<size_t>(width) * 4;
    }
    return !refused;
  }
};

void take(png_structp png, png_bytep to, size_t size) {
  auto* decoder = static_cast<PngDecoder*>(png_get_io_ptr(png));
  if (size > decoder->file.size() - decoder->at) png_error(png, "the file ends too early");
  std::memcpy(to, decoder->file.data() + decoder->at, size);
  decoder->at += size;
}
[[noreturn]] void on_read_error(png_structp png, png_const_charp message) {
  static_cast<PngDecoder*>(png_get_error_ptr(png))->error = message;
  png_longjmp(png, 1);
}
void on_read_warning(png_structp, png_const_charp) {}

void ask_for_rgba(png_structp png, png_infop info) {
  const int colour = png_get_color_type(png, info);
  png_set_scale_16(png);
  if (colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (colour == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
  if (png_get_valid(png, info, PNG_INFO_tRNS) != 0) png_set_tRNS_to_alpha(png);
  if (colour == PNG_COLOR_TYPE_GRAY || colour == PNG_COLOR_TYPE_GRAY_ALPHA) png_set_gray_to_rgb(png);
  png_set_add_alpha(png, 0xFF, PNG_FILLER_AFTER);
  png_set_interlace_handling(png);
}

void read_picture(png_structp png, png_infop info, PngDecoder& decoder) {
  png_set_read_fn(png, &decoder, take);
  png_set_user_limits(png, kMaxSide, kMaxSide);
  png_read_info(png, info);
  decoder.width = png_get_image_width(png, info);
  decoder.height = png_get_image_height(png, info);
  if (!decoder.make_room(png_get_rowbytes(png, info) * static_cast<uint64_t>(decoder.height))) png_error(png, "");
  ask_for_rgba(png, info);
  png_read_update_info(png, info);
  if (png_get_rowbytes(png, info) != static_cast<size_t>(decoder.width) * 4) png_error(png, "an unknown kind of PNG");
  png_read_image(png, decoder.rows.data());
  png_read_end(png, nullptr);
}

// Only trivial objects live in this frame.
bool run(PngDecoder& decoder) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, on_read_error, on_read_warning);
  if (png == nullptr) return false;
  png_infop info = png_create_info_struct(png);
  if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) {
    png_destroy_read_struct(&png, &info, nullptr);
    return false;
  }
  read_picture(png, info, decoder);
  png_destroy_read_struct(&png, &info, nullptr);
  return true;
}

constexpr uint8_t mix(int colour, int alpha, int over) {
  return static_cast<uint8_t>((colour * alpha + over * (255 - alpha) + 127) / 255);
}

}  // namespace

Result<Picture> decode_png(std::span<const std::byte> file, const std::string& name, int32_t channels, Colour over,
                           const Limits& limits) {
  PngDecoder decoder{.file = file, .name = name, .limits = limits};
  if (!run(decoder)) {
    if (decoder.refused) return std::unexpected(std::move(*decoder.refused));
    return fail(ErrorKind::Input,
                fmt::format("{}: damaged PNG: {}", printable(name),
                            decoder.error.empty() ? "out of memory" : printable(decoder.error)),
                "copy or download it again, or leave it out");
  }
  Picture picture{decoder.width, decoder.height, channels, {}};
  picture.pixels.resize(static_cast<size_t>(picture.width * picture.height * channels));
  const auto* from = reinterpret_cast<const uint8_t*>(decoder.pixels.data());
  for (uint8_t *to = picture.pixels.data(), *end = to + picture.pixels.size(); to != end; to += channels, from += 4) {
    const uint8_t rgb[] = {mix(from[0], from[3], over[0]), mix(from[1], from[3], over[1]),
                           mix(from[2], from[3], over[2])};
    if (channels == 1)
      *to = grey_of(rgb[0], rgb[1], rgb[2]);
    else
      std::memcpy(to, rgb, 3);
  }
  return picture;
}

}  // namespace smelt
