// Which decoder a picture's first bytes ask for, and what to do with formats that have none.
#include "runtime/files/decode_picture.h"

#include <fmt/format.h>

#include <string_view>

#include "runtime/files/message.h"

namespace smelt {
namespace {

using namespace std::string_view_literals;

struct Format {
  std::string_view magic;
  size_t offset;  // of the magic
  std::string_view what;
  Result<Picture> (*decode)(std::span<const std::byte>, const std::string&, int32_t, Colour,
                            const Limits&);  // null: none
};
constexpr Format kFormats[] = {
    {"\x89PNG\r\n\x1a\n"sv, 0, "a PNG", decode_png},
    {"\xFF\xD8\xFF"sv, 0, "a JPEG", decode_jpeg},
    {"GIF8"sv, 0, "a GIF", nullptr},
    {"WEBP"sv, 8, "a WebP", nullptr},
    {"ftypavif"sv, 4, "an AVIF", nullptr},
    {"ftyphei"sv, 4, "a HEIC", nullptr},
    {"\x00\x00\x00\x0CjP  "sv, 0, "a JPEG 2000", nullptr},
    {"\xFF\x0A"sv, 0, "a JPEG XL", nullptr},
    {"BM"sv, 0, "a BMP", nullptr},
    {"II*\0"sv, 0, "a TIFF", nullptr},
    {"MM\0*"sv, 0, "a TIFF", nullptr},
    {"8BPS"sv, 0, "a Photoshop file", nullptr},
    {"<svg"sv, 0, "an SVG drawing", nullptr},
    {"<!DOCTYPE"sv, 0, "an HTML page: the download failed", nullptr},
    {"<html"sv, 0, "an HTML page: the download failed", nullptr},
    {"version https://git-lfs"sv, 0, "a Git LFS pointer, not the picture itself", nullptr},
};
constexpr size_t kShownBytes = 4;  // of an unknown format

}  // namespace

Result<void> check_picture_size(int64_t width, int64_t height, const std::string& name, const Limits& limits) {
  const bool is_empty = width < 1 || height < 1;  // else both are below 2^32
  const uint64_t pixels = is_empty ? 0 : static_cast<uint64_t>(width) * static_cast<uint64_t>(height);
  if (!is_empty && pixels <= limits.pixels) return {};
  return fail(is_empty ? ErrorKind::Input : ErrorKind::Limit,
              fmt::format("{}: says that it has {} x {} pixels, the limit is {} in all", printable(name), width, height,
                          limits.pixels),
              is_empty ? std::string() : raise_limit(&Limits::pixels, pixels));
}

Result<Picture> decode_picture(std::span<const std::byte> file, const std::string& name, int32_t channels, Colour over,
                               const Limits& limits) {
  if (file.empty()) return fail(ErrorKind::Input, fmt::format("{}: the file is empty", printable(name)));
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  for (const Format& format : kFormats) {
    if (text.size() < format.offset || !text.substr(format.offset).starts_with(format.magic)) continue;
    if (format.decode != nullptr) return format.decode(file, name, channels, over, limits);
    return fail(ErrorKind::Input, fmt::format("{}: this is {}", printable(name), format.what),
                "PNG and JPEG are read: convert it, such as with ImageMagick's `convert IN OUT.png`, or leave it out");
  }
  std::string shown;
  for (const std::byte byte : file.first(std::min(file.size(), kShownBytes)))
    shown += fmt::format("{}{:02x}", shown.empty() ? "" : " ", std::to_integer<int>(byte));
  return fail(ErrorKind::Input, fmt::format("{}: no picture: begins with the bytes {}", printable(name), shown),
              "PNG and JPEG are read; a pattern such as `folder/**/*.png` leaves other files out");
}

}  // namespace smelt
