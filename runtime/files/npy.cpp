#include "runtime/files/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "runtime/files/file.h"
#include "runtime/files/message.h"
#include "runtime/files/npy_dict.h"
#include "runtime/files/output_file.h"

namespace smelt {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kMagic = "\x93NUMPY"sv;
constexpr size_t kMaxNpyRank = 8;

struct NpyType {
  std::string_view code;
  int64_t stored_bytes;
  DType dtype;
};

constexpr NpyType kNpyTypes[] = {{"b1", 1, DType::Bool}, {"u1", 1, DType::U8},  {"i1", 1, DType::I8},
                                 {"i2", 2, DType::I16},  {"u2", 2, DType::I32}, {"i4", 4, DType::I32},
                                 {"u4", 4, DType::I64},  {"i8", 8, DType::I64}, {"f2", 2, DType::F32},
                                 {"f4", 4, DType::F32},  {"f8", 8, DType::F64}};

struct Refusal {
  char kind;
  std::string_view why;
  std::string_view help;
};

constexpr Refusal kRefused[] = {
    {'O', "Python objects are not loaded, because unpickling executes code", "save it with `.astype('f4')`"},
    {'V', "records and raw bytes have no element type here", "save each field as an array of its own"},
    {'S', "strings are no numbers", "save numbers instead"},
    {'U', "strings are no numbers", "save numbers instead"},
    {'c', "complex numbers are not supported", "save `.real` and `.imag`"},
    {'M', "dates are no numbers", "save them with `.astype('i8')`"},
    {'m', "time spans are no numbers", "save them with `.astype('i8')`"},
    {'u', "unsigned 64-bit integers are not supported", "save it with `.astype('i8')`"},
};

std::unexpected<Error> bad_npy(const std::string& name, std::string_view what, std::string_view help = {}) {
  return fail(ErrorKind::Input, fmt::format("{}: {}", printable(name), what), std::string(help));
}

Result<void> set_type(NpyHeader& header, const std::string& name) {
  const std::string_view descr = header.descr;
  const std::string shown = printable(descr, 32);
  if (descr.size() < 2 || "<>|="sv.find(descr[0]) == std::string_view::npos) {
    return bad_npy(name, fmt::format("key `descr`: `{}` is no element type", shown));
  }
  header.big_endian = descr[0] == '>';
  for (const NpyType& type : kNpyTypes) {
    if (type.code != descr.substr(1)) continue;
    header.dtype = type.dtype;
    header.stored_bytes = type.stored_bytes;
    return {};
  }
  for (const Refusal& refusal : kRefused) {
    if (refusal.kind == descr[1]) {
      return bad_npy(name, fmt::format("key `descr`: `{}`: {}", shown, refusal.why), refusal.help);
    }
  }
  return bad_npy(name, fmt::format("key `descr`: `{}` is not supported", shown), "save it with `.astype('f4')`");
}

uint64_t little_endian(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) value |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  return value;
}

void swap_bytes(std::span<std::byte> data, int64_t width) {
  for (size_t at = 0; at + static_cast<size_t>(width) <= data.size(); at += static_cast<size_t>(width)) {
    std::reverse(data.begin() + static_cast<ptrdiff_t>(at), data.begin() + static_cast<ptrdiff_t>(at) + width);
  }
}

// Column-major to row-major: walks the result in order and keeps the source offset like an odometer.
Result<Buffer> transpose(std::span<const std::byte> data, const std::vector<int64_t>& shape, int64_t width,
                         const std::string& name) {
  SMELT_TRY(Buffer out, Buffer::allocate(data.size(), printable(name)));
  std::vector<int64_t> stride(shape.size()), index(shape.size(), 0);
  int64_t step = width;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    stride[axis] = step;
    step *= shape[axis];
  }
  int64_t source = 0;
  for (uint64_t to = 0; to < data.size(); to += static_cast<uint64_t>(width)) {
    std::memcpy(out.data() + to, data.data() + source, static_cast<size_t>(width));
    for (size_t axis = shape.size(); axis-- > 0;) {
      source += stride[axis];
      if (++index[axis] < shape[axis]) break;
      source -= stride[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return out;
}

template <typename From, typename To, typename Convert>
Result<Buffer> widen(const Buffer& from, const std::string& name, Convert convert_one) {
  const uint64_t count = from.size() / sizeof(From);
  SMELT_TRY(Buffer out, Buffer::allocate(count * sizeof(To), printable(name)));
  for (uint64_t i = 0; i < count; ++i) {
    From value;
    std::memcpy(&value, from.data() + i * sizeof(From), sizeof value);
    const To wide = convert_one(value);
    std::memcpy(out.data() + i * sizeof(To), &wide, sizeof wide);
  }
  return out;
}

// From the file's element type to ours, where they differ.
Result<Buffer> widen(Buffer data, std::string_view code, const std::string& name, std::vector<std::string>& notes) {
  const auto note = [&](DType dtype) {
    notes.push_back(fmt::format("{}: {} read as {}", printable(name), code, to_string(dtype)));
  };
  if (code == "f2") {
    note(DType::F32);
    return widen<uint16_t, float>(data, name, half_to_float);
  }
  if (code == "u2") {
    note(DType::I32);
    return widen<uint16_t, int32_t>(data, name, [](uint16_t v) { return int32_t{v}; });
  }
  if (code == "u4") {
    note(DType::I64);
    return widen<uint32_t, int64_t>(data, name, [](uint32_t v) { return int64_t{v}; });
  }
  if (code == "b1") {  // any byte but 0 is true; generated code expects 0 or 1
    for (std::byte& value : data.bytes()) value = value == std::byte{0} ? std::byte{0} : std::byte{1};
  }
  return data;
}

std::string_view npy_code(DType dtype) {
  switch (dtype) {
    case DType::Bool: return "|b1";
    case DType::U8: return "|u1";
    case DType::I8: return "|i1";
    case DType::I16: return "<i2";
    case DType::I32: return "<i4";
    case DType::I64: return "<i8";
    case DType::F16: return "<f2";
    case DType::BF16:
    case DType::F32: return "<f4";
    case DType::F64: return "<f8";
  }
  return "|V1";
}

}  // namespace

std::string_view numpy_name(DType dtype) { return npy_code(dtype).substr(1); }

Result<NpyHeader> parse_npy_header(std::span<const std::byte> file, const std::string& name, const Limits& limits) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (!text.starts_with(kMagic)) {
    return bad_npy(
        name, text.empty() ? "the file is empty" : "byte 0: no .npy file (it should start with \\x93NUMPY)",
        text.starts_with("PK") ? "this is a zip archive: the arrays of an .npz are read by `npz(\"file.npz/x\")`" : "");
  }
  if (file.size() < 10) return bad_npy(name, "the file ends inside its header", "copy or download it again");
  const int major = std::to_integer<int>(file[6]);
  if (major < 1 || major > 3) {
    return bad_npy(name, fmt::format("byte 6: version {} of the format; 1 to 3 are known", major));
  }
  const uint64_t field = major == 1 ? 2 : 4;
  if (file.size() < 8 + field) return bad_npy(name, "the file ends inside its header", "copy or download it again");
  const uint64_t length = little_endian(file.subspan(8, field));
  if (length > limits.npy_header) {
    return fail(
        ErrorKind::Limit,
        fmt::format("{}: byte 8: a header of {} bytes, the limit is {}", printable(name), length, limits.npy_header),
        raise_limit(&Limits::npy_header, length));
  }
  if (8 + field + length > file.size()) {
    return bad_npy(name,
                   fmt::format("byte 8: a header of {} bytes does not fit into a file of {}", length, file.size()),
                   "copy or download it again");
  }
  NpyHeader header;
  header.data_begin = 8 + field + length;
  SMELT_TRY(NpyDict dict, parse_npy_dict(text.substr(8 + field, length), 8 + field, name));
  header.descr = std::move(dict.descr);
  header.fortran_order = dict.fortran_order;
  header.shape = std::move(dict.shape);
  if (header.shape.size() > kMaxNpyRank) {
    return bad_npy(name, fmt::format("key `shape`: rank {}, the limit is {}", header.shape.size(), kMaxNpyRank));
  }
  SMELT_TRY_VOID(set_type(header, name));
  return header;
}

Result<void> check_npy_size(const NpyHeader& header, uint64_t file_bytes, const std::string& name) {
  const std::optional<int64_t> count = num_elements(header.shape);
  int64_t stored = 0, widened = 0;
  if (!count || __builtin_mul_overflow(*count, header.stored_bytes, &stored) ||
      __builtin_mul_overflow(*count, size_of(header.dtype), &widened)) {
    return bad_npy(name, fmt::format("key `shape`: the size of ({}) leaves 64 bits", fmt::join(header.shape, ", ")));
  }
  const uint64_t present = file_bytes - std::min(file_bytes, header.data_begin);
  if (present == static_cast<uint64_t>(stored)) return {};
  return bad_npy(name,
                 fmt::format("shape ({}) of {} needs {} bytes of data, the file has {}", fmt::join(header.shape, ", "),
                             header.descr, stored, present),
                 present < static_cast<uint64_t>(stored) ? "the file is truncated: copy or download it again" : "");
}

Result<NpyFile> parse_npy(Buffer file, const std::string& name, const Limits& limits) {
  SMELT_TRY(const NpyHeader header, parse_npy_header(file.bytes(), name, limits));
  SMELT_TRY_VOID(check_npy_size(header, file.size(), name));
  NpyFile out;
  file.drop_front(header.data_begin);
  if (header.big_endian) swap_bytes(file.bytes(), header.stored_bytes);
  if (header.fortran_order && header.shape.size() > 1) {
    SMELT_TRY(file, transpose(file.bytes(), header.shape, header.stored_bytes, name));
    out.notes.push_back(fmt::format("{}: transposed from Fortran order", printable(name)));
  }
  SMELT_TRY(file, widen(std::move(file), std::string_view(header.descr).substr(1), name, out.notes));
  out.tensor = HostTensor{header.dtype, header.shape, std::move(file)};
  return out;
}

Result<NpyFile> read_npy(const std::string& path, const Limits& limits) {
  SMELT_TRY(Buffer file, read_file(path, limits));
  return parse_npy(std::move(file), path, limits);
}

std::string encode_npy_header(DType dtype, std::span<const int64_t> shape) {
  std::string dict = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", npy_code(dtype),
                                 fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  constexpr size_t kBefore = 10, kAlignment = 64;
  const size_t total = (kBefore + dict.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  dict.resize(total - kBefore - 1, ' ');
  dict += '\n';
  std::string out(kMagic);
  out += {'\x01', '\x00', static_cast<char>(dict.size() & 0xFF), static_cast<char>(dict.size() >> 8)};
  return out + dict;
}

Result<void> write_npy(const std::string& path, const HostTensor& tensor) {
  if (tensor.dtype == DType::BF16) {
    SMELT_TRY(const HostTensor wide, convert(tensor, DType::F32));
    return write_npy(path, wide);
  }
  const std::string header = encode_npy_header(tensor.dtype, tensor.shape);
  const std::span<const std::byte> parts[] = {as_byte_span(header), tensor.data.bytes()};
  return write_output(path, parts);
}

}  // namespace smelt
