// JPEG by libjpeg-turbo. Its integer transforms give the same bits with and without vector instructions.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it

#include <jerror.h>
#include <jpeglib.h>

#include "runtime/files/decode_picture.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

// A picture of a few bytes can ask for any number of passes over its pixels; real ones have about ten.
constexpr int kMaxScans = 500;

// Oddities that say nothing of the pixels. Any other warning is damage: libjpeg goes on with grey.
constexpr std::array kHarmless = {JWRN_EXTRANEOUS_DATA, JWRN_ADOBE_XFORM, JWRN_JFIF_MAJOR};

// libjpeg reports errors by longjmp, which runs no destructors: objects that have one live in the caller.
struct JpegDecoder {
  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf jump{};
  std::array<char, JMSG_LENGTH_MAX> message{};
  const std::string* name = nullptr;
  const Limits* limits = nullptr;
  Picture* picture = nullptr;
  std::optional<Error>* refused = nullptr;

  /// As stored: grey or RGB. False when the picture is refused.
  bool make_room() const {
    if (jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK) {
      *refused = Error{ErrorKind::Input,
                       fmt::format("{}: a JPEG of the four colours of a printer (CMYK)", printable(*name)),
                       "convert it, such as with ImageMagick's `convert IN -colorspace sRGB OUT.png`",
                       {}};
      return false;
    }
    if (auto sized = check_picture_size(jpeg.image_width, jpeg.image_height, *name, *limits); !sized) {
      *refused = std::move(sized).error();
      return false;
    }
    picture->width = jpeg.image_width;
    picture->height = jpeg.image_height;
    picture->channels = jpeg.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3;
    picture->pixels.resize(static_cast<size_t>(picture->width * picture->height * picture->channels));
    return true;
  }
};

JpegDecoder& decoder_of(j_common_ptr jpeg) { return *static_cast<JpegDecoder*>(jpeg->client_data); }

[[noreturn]] void stop(j_common_ptr jpeg) {
  jpeg->err->format_message(jpeg, decoder_of(jpeg).message.data());
  std::longjmp(decoder_of(jpeg).jump, 1);
}
void on_message(j_common_ptr jpeg, int level) {
  const bool warning = level < 0;
  if (warning && std::ranges::find(kHarmless, jpeg->err->msg_code) == kHarmless.end()) stop(jpeg);
}
void print_nothing(j_common_ptr) {}
void count_scans(j_common_ptr jpeg) {
  if (decoder_of(jpeg).jpeg.input_scan_number <= kMaxScans) return;
  fmt::format_to_n(decoder_of(jpeg).message.data(), JMSG_LENGTH_MAX - 1, "more than {} scans", kMaxScans);
  std::longjmp(decoder_of(jpeg).jump, 1);
}

void read_picture(JpegDecoder& decoder, std::span<const std::byte> file) {
  jpeg_decompress_struct* jpeg = &decoder.jpeg;
  jpeg_create_decompress(jpeg);
  decoder.progress.progress_monitor = count_scans;
  jpeg->progress = &decoder.progress;
  jpeg_mem_src(jpeg, reinterpret_cast<const unsigned char*>(file.data()), file.size());
  jpeg_read_header(jpeg, TRUE);
  if (!decoder.make_room()) std::longjmp(decoder.jump, 1);
  jpeg->out_color_space = decoder.picture->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg->dct_method = JDCT_ISLOW;
  jpeg_start_decompress(jpeg);
  const auto stride = static_cast<size_t>(decoder.picture->width * decoder.picture->channels);
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW row = decoder.picture->pixels.data() + jpeg->output_scanline * stride;
    jpeg_read_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_decompress(jpeg);
}

// Only trivial objects live in this frame.
bool run(JpegDecoder& decoder, std::span<const std::byte> file) {
  decoder.jpeg.err = jpeg_std_error(&decoder.errors);
  decoder.jpeg.client_data = &decoder;
  decoder.errors.error_exit = stop;
  decoder.errors.emit_message = on_message;
  decoder.errors.output_message = print_nothing;
  if (setjmp(decoder.jump) != 0) {
    jpeg_destroy_decompress(&decoder.jpeg);
    return false;
  }
  read_picture(decoder, file);
  jpeg_destroy_decompress(&decoder.jpeg);
  return true;
}

Picture with_channels(Picture picture, int32_t channels) {
  if (picture.channels == channels) return picture;
  const auto count = static_cast<size_t>(picture.width * picture.height);
  Picture out{picture.width, picture.height, channels, std::vector<uint8_t>(count * static_cast<size_t>(channels))};
  for (size_t i = 0; i < count; ++i) {
    if (channels == 1) {
      const uint8_t* rgb = picture.pixels.data() + 3 * i;
      out.pixels[i] = grey_of(rgb[0], rgb[1], rgb[2]);
    } else {
      std::fill_n(out.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, picture.pixels[i]);
    }
  }
  return out;
}

}  // namespace

Result<Picture> decode_jpeg(std::span<const std::byte> file, const std::string& name, int32_t channels,
                            Colour /*over: a JPEG is opaque*/, const Limits& limits) {
  Picture picture;
  std::optional<Error> refused;
  JpegDecoder decoder;
  decoder.name = &name;
  decoder.limits = &limits;
  decoder.picture = &picture;
  decoder.refused = &refused;
  if (run(decoder, file)) return with_channels(std::move(picture), channels);
  if (refused) return std::unexpected(std::move(*refused));
  return fail(ErrorKind::Input, fmt::format("{}: damaged JPEG: {}", printable(name), printable(decoder.message.data())),
              "copy or download it again, or leave it out");
}

}  // namespace smelt
