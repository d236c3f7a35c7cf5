#include "runtime/files/png.h"

#include <fmt/format.h>
#include <png.h>

#include <csetjmp>

#include "runtime/files/file.h"

namespace smelt {
namespace {

// libpng reports errors by longjmp, which runs no destructors. So everything with a destructor lives outside
// the function that calls setjmp, and this is what it works on.
struct Encoder {
  const Picture& picture;
  std::vector<png_text> texts;
  std::string out;
  std::string error;
};

void append(png_structp png, png_bytep data, size_t size) {
  static_cast<Encoder*>(png_get_io_ptr(png))->out.append(reinterpret_cast<const char*>(data), size);
}
void flush(png_structp) {}
[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  static_cast<Encoder*>(png_get_error_ptr(png))->error = message;
  png_longjmp(png, 1);
}
void on_warning(png_structp, png_const_charp) {}

void write_picture(png_structp png, png_infop info, Encoder& encoder) {
  const Picture& picture = encoder.picture;
  png_set_write_fn(png, &encoder, append, flush);
  png_set_IHDR(png, info, static_cast<png_uint_32>(picture.width), static_cast<png_uint_32>(picture.height), 8,
               picture.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_text(png, info, encoder.texts.data(), static_cast<int>(encoder.texts.size()));
  png_write_info(png, info);
  const size_t stride = static_cast<size_t>(picture.width) * static_cast<size_t>(picture.channels);
  for (int64_t y = 0; y < picture.height; ++y) {
    png_write_row(png, picture.pixels.data() + static_cast<size_t>(y) * stride);
  }
  png_write_end(png, info);
}

// Only trivial objects live in this frame.
bool run(Encoder& encoder) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &encoder, on_error, on_warning);
  if (png == nullptr) return false;
  png_infop info = png_create_info_struct(png);
  if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) {
    png_destroy_write_struct(&png, &info);
    return false;
  }
  write_picture(png, info, encoder);
  png_destroy_write_struct(&png, &info);
  return true;
}

}  // namespace

Result<std::string> encode_png(const Picture& picture, const PngTexts& texts) {
  if (picture.width < 1 || picture.height < 1 || (picture.channels != 1 && picture.channels != 3)) {
    return fail(ErrorKind::Output, fmt::format("a picture of {} x {} pixels with {} channels cannot be written",
                                               picture.width, picture.height, picture.channels));
  }
  if (picture.pixels.size() != static_cast<size_t>(picture.width) * static_cast<size_t>(picture.height) *
                                   static_cast<size_t>(picture.channels)) {
    return fail(ErrorKind::Output, "a picture's pixels do not match its size");
  }
  Encoder encoder{picture, {}, {}, {}};
  for (const auto& [key, text] : texts) {
    png_text entry{};
    entry.compression = PNG_TEXT_COMPRESSION_NONE;
    entry.key = const_cast<char*>(key.c_str());  // libpng copies both
    entry.text = const_cast<char*>(text.c_str());
    entry.text_length = text.size();
    encoder.texts.push_back(entry);
  }
  if (!run(encoder)) {
    return fail(ErrorKind::Output, fmt::format("libpng: {}", encoder.error.empty() ? "out of memory" : encoder.error));
  }
  return std::move(encoder.out);
}

Result<void> write_png(const std::string& path, const Picture& picture, const PngTexts& texts) {
  SMELT_TRY(const std::string bytes, encode_png(picture, texts));
  return write_file_atomic(path, bytes);
}

}  // namespace smelt
