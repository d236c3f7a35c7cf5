#include "runtime/files/idx.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/files/file.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

struct IdxType {
  int code;
  DType dtype;
};
constexpr IdxType kIdxTypes[] = {{0x08, DType::U8},  {0x09, DType::I8},  {0x0B, DType::I16},
                                 {0x0C, DType::I32}, {0x0D, DType::F32}, {0x0E, DType::F64}};
constexpr int kMaxIdxRank = 8;

// What a file that is no IDX file may be.
std::string guess(std::string_view text) {
  if (text.starts_with("PK")) return "this looks like a zip archive: unpack it first";
  if (text.starts_with("<")) return "this looks like HTML: the download failed";
  if (text.starts_with("\x93NUMPY")) return "this is a NumPy array: read it with `npy(..)`";
  if (text.starts_with("\x89PNG")) return "this is a PNG picture";
  return {};
}

std::unexpected<Error> bad_idx(const std::string& name, std::string_view what, std::string help = {}) {
  return fail(ErrorKind::Input, fmt::format("{}: {}", printable(name), what), std::move(help));
}

uint32_t big_endian(std::span<const std::byte> bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | std::to_integer<uint32_t>(bytes[at + i]);
  return value;
}

void swap_elements(std::span<std::byte> data, int64_t width) {
  for (auto it = data.begin(); width > 1 && it != data.end(); it += width) std::reverse(it, it + width);
}

}  // namespace

Result<IdxHeader> parse_idx_header(std::span<const std::byte> file, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (file.empty()) return bad_idx(name, "the file is empty");
  for (size_t at = 0; at < std::min<size_t>(2, file.size()); ++at) {
    if (file[at] == std::byte{0}) continue;
    return bad_idx(
        name, fmt::format("byte {} is 0x{:02x}, an IDX file starts with two zeros", at, std::to_integer<int>(file[at])),
        guess(text));
  }
  if (file.size() < 4) return bad_idx(name, "the file ends inside its header", "copy or download it again");
  const int code = std::to_integer<int>(file[2]), rank = std::to_integer<int>(file[3]);
  const auto* type =
      std::find_if(std::begin(kIdxTypes), std::end(kIdxTypes), [&](IdxType t) { return t.code == code; });
  if (type == std::end(kIdxTypes)) {
    return bad_idx(name, fmt::format("byte 2 is 0x{:02x}, which is no IDX element type", code),
                   "known are 08 u8, 09 i8, 0b i16, 0c i32, 0d f32, 0e f64");
  }
  if (rank < 1 || rank > kMaxIdxRank)
    return bad_idx(name, fmt::format("byte 3: rank {}, 1 to {} are known", rank, kMaxIdxRank));
  const size_t data_begin = 4 + 4 * static_cast<size_t>(rank);
  if (file.size() < data_begin) return bad_idx(name, "the file ends inside its header", "copy or download it again");
  IdxHeader header{type->dtype, {}, data_begin};
  for (size_t at = 4; at < data_begin; at += 4) header.shape.push_back(big_endian(file, at));
  return header;
}

Result<void> check_idx_size(const IdxHeader& header, uint64_t file_bytes, const std::string& name) {
  const std::optional<uint64_t> expected = byte_size(header.dtype, header.shape);
  if (!expected)
    return bad_idx(name, fmt::format("byte 4: the size of [{}] leaves 64 bits", fmt::join(header.shape, ", ")));
  const uint64_t present = file_bytes - std::min(file_bytes, header.data_begin);
  if (*expected == present) return {};
  return bad_idx(name,
                 fmt::format("{} needs {} bytes of data, the file has {}", describe(header.dtype, header.shape),
                             *expected, present),
                 present < *expected ? "the file is truncated: copy or download it again"
                                     : "bytes follow the data: the file is damaged or not IDX");
}

Result<HostTensor> parse_idx(Buffer file, const std::string& name) {
  SMELT_TRY(IdxHeader header, parse_idx_header(file.bytes(), name));
  SMELT_TRY_VOID(check_idx_size(header, file.size(), name));
  file.drop_front(header.data_begin);
  swap_elements(file.bytes(), size_of(header.dtype));
  return HostTensor{header.dtype, std::move(header.shape), std::move(file)};
}

Result<HostTensor> read_idx(const std::string& path, const Limits& limits) {
  SMELT_TRY(Buffer file, read_file(path, limits));
  return parse_idx(std::move(file), path);
}

}  // namespace smelt
