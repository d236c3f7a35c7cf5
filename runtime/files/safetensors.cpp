#include "runtime/files/safetensors.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/files/file.h"
#include "runtime/files/foreign_formats.h"
#include "runtime/files/message.h"
#include "runtime/files/output_file.h"
#include "runtime/files/safetensors_header.h"

namespace smelt {
namespace {

constexpr uint64_t kLengthBytes = 8;

struct StoredType {
  std::string_view name;
  uint64_t bytes;
  std::optional<DType> dtype;
};

// In the format's order of alignment, smallest first.
constexpr std::array kStoredTypes = {
    StoredType{"BOOL", 1, DType::Bool}, StoredType{"U8", 1, DType::U8},   StoredType{"I8", 1, DType::I8},
    StoredType{"F8_E5M2", 1, {}},       StoredType{"F8_E4M3", 1, {}},     StoredType{"I16", 2, DType::I16},
    StoredType{"U16", 2, {}},           StoredType{"F16", 2, DType::F16}, StoredType{"BF16", 2, DType::BF16},
    StoredType{"I32", 4, DType::I32},   StoredType{"U32", 4, {}},         StoredType{"F32", 4, DType::F32},
    StoredType{"F64", 8, DType::F64},   StoredType{"I64", 8, DType::I64}, StoredType{"U64", 8, {}},
};

size_t storage_rank(DType dtype) {
  size_t rank = 0;
  while (kStoredTypes[rank].dtype != dtype) ++rank;
  return rank;
}

const StoredType* find_type(std::string_view name) {
  for (const StoredType& type : kStoredTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

// The checks that need sizes: each tensor alone, then that together they cover the data part exactly.
class LayoutCheck {
 public:
  LayoutCheck(const std::string& file, uint64_t data_bytes) : file_(file), data_bytes_(data_bytes) {}

  Result<StoredTensor> check(const HeaderTensor& raw) const {
    const StoredType* type = find_type(raw.dtype);
    if (type == nullptr) return at(raw, "dtype", fmt::format("unknown element type `{}`", printable(raw.dtype, 32)));
    if (raw.shape.size() > kMaxStoredRank) {
      return at(raw, "shape", fmt::format("rank {}, the limit is {}", raw.shape.size(), kMaxStoredRank));
    }
    uint64_t expected = type->bytes;
    bool empty = false;
    for (const uint64_t size : raw.shape) {
      empty |= size == 0;
      if (size != 0 && __builtin_mul_overflow(expected, size, &expected)) {
        return at(raw, "shape", fmt::format("the size of [{}] leaves 64 bits", fmt::join(raw.shape, ", ")));
      }
    }
    if (empty) expected = 0;
    if (raw.begin > raw.end) {
      return at(raw, "data_offsets", fmt::format("begin {} is after end {}", raw.begin, raw.end));
    }
    if (raw.end > data_bytes_) {
      return at(raw, "data_offsets", fmt::format("end {} is beyond the data, which has {} bytes", raw.end, data_bytes_),
                "the file is truncated: copy or download it again");
    }
    if (raw.end - raw.begin != expected) {
      return at(raw, "data_offsets",
                fmt::format("{}[{}] needs {} bytes, the offsets give {}", raw.dtype, fmt::join(raw.shape, ", "),
                            expected, raw.end - raw.begin));
    }
    return StoredTensor{raw.name, raw.dtype, type->dtype, {raw.shape.begin(), raw.shape.end()}, raw.begin, raw.end};
  }

  Result<void> check_cover(const std::vector<StoredTensor>& tensors) const {
    std::vector<const StoredTensor*> sorted;
    for (const StoredTensor& tensor : tensors) sorted.push_back(&tensor);
    std::sort(sorted.begin(), sorted.end(), [](const StoredTensor* a, const StoredTensor* b) {
      return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
    });
    uint64_t covered = 0;
    for (const StoredTensor* tensor : sorted) {
      if (tensor->begin != covered) {
        return fail(ErrorKind::Input,
                    fmt::format("{}: tensor `{}`, field `data_offsets`: begins at {}, but the data before it ends at "
                                "{} ({})",
                                printable(file_), printable(tensor->name), tensor->begin, covered,
                                tensor->begin < covered ? "they overlap" : "a hole"));
      }
      covered = tensor->end;
    }
    if (covered == data_bytes_) return {};
    return fail(ErrorKind::Input, fmt::format("{}: the tensors end at {}, but the data has {} bytes", printable(file_),
                                              covered, data_bytes_));
  }

 private:
  std::unexpected<Error> at(const HeaderTensor& tensor, std::string_view field, std::string_view what,
                            std::string help = {}) const {
    return fail(ErrorKind::Input,
                fmt::format("{}: tensor `{}`, field `{}`: {}", printable(file_), printable(tensor.name), field, what),
                std::move(help));
  }

  const std::string& file_;
  const uint64_t data_bytes_;
};

Result<uint64_t> header_length(std::span<const std::byte> file, const std::string& name, const Limits& limits) {
  if (file.size() < kLengthBytes) {
    return fail(ErrorKind::Input,
                fmt::format("{}: {} bytes are too few for a safetensors file", printable(name), file.size()));
  }
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= std::to_integer<uint64_t>(file[i]) << (8 * i);
  if (length > limits.header && length <= file.size() - kLengthBytes) {
    return fail(ErrorKind::Limit,
                fmt::format("{}: byte 0: the header has {}, the limit is {}", printable(name), human_bytes(length),
                            human_bytes(limits.header)),
                raise_limit(&Limits::header, length));
  }
  if (length > file.size() - kLengthBytes) {
    return fail(ErrorKind::Input,
                fmt::format("{}: byte 0: a header of {} bytes does not fit into a file of {}", printable(name), length,
                            file.size()),
                "the file is truncated or no safetensors file");
  }
  if (length < 2 || file[kLengthBytes] != std::byte{'{'}) {
    return fail(ErrorKind::Input, fmt::format("{}: byte 8: the header does not start with `{{`", printable(name)),
                "this is no safetensors file, or it is damaged");
  }
  return length;
}

std::string quoted_json(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

const StoredTensor* Safetensors::find(std::string_view name) const {
  for (const StoredTensor& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

std::span<const std::byte> Safetensors::bytes(const StoredTensor& tensor) const {
  return file.bytes().subspan(data_begin + tensor.begin, tensor.end - tensor.begin);
}

Result<Safetensors> parse_safetensors(Buffer file, const std::string& name, const Limits& limits) {
  SMELT_TRY(const uint64_t length, header_length(file.bytes(), name, limits));
  const std::string_view json(reinterpret_cast<const char*>(file.data() + kLengthBytes), length);
  SMELT_TRY(SafetensorsHeader header, parse_safetensors_header(json, name, limits));

  Safetensors out;
  out.data_begin = kLengthBytes + length;
  out.metadata = std::move(header.metadata);
  const LayoutCheck layout(name, file.size() - out.data_begin);
  for (const HeaderTensor& raw : header.tensors) {
    SMELT_TRY(StoredTensor tensor, layout.check(raw));
    out.tensors.push_back(std::move(tensor));
  }
  SMELT_TRY_VOID(layout.check_cover(out.tensors));
  out.file = std::move(file);
  return out;
}

Result<Safetensors> read_safetensors(const std::string& path, const Limits& limits) {
  SMELT_TRY(Buffer file, read_file(path, limits));
  SMELT_TRY_VOID(refuse_foreign_weights(file.bytes(), path));
  return parse_safetensors(std::move(file), path, limits);
}

void sort_for_storage(std::vector<TensorToStore>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorToStore& a, const TensorToStore& b) {
    const size_t rank_a = storage_rank(a.dtype), rank_b = storage_rank(b.dtype);
    return rank_a != rank_b ? rank_a > rank_b : a.name < b.name;
  });
}

std::string encode_safetensors_header(std::span<const TensorToStore> tensors,
                                      const std::map<std::string, std::string>& metadata, uint64_t alignment) {
  std::string out(kLengthBytes, '\0');
  out += '{';
  std::string_view separator;
  if (!metadata.empty()) {
    out += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      out += fmt::format("{}{}:{}", separator, quoted_json(key), quoted_json(value));
      separator = ",";
    }
    out += '}';
    separator = ",";
  }
  uint64_t offset = 0;
  for (const TensorToStore& tensor : tensors) {
    out += fmt::format(R"({}{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", separator,
                       quoted_json(tensor.name), kStoredTypes[storage_rank(tensor.dtype)].name,
                       fmt::join(tensor.shape, ","), offset, offset + tensor.bytes.size());
    offset += tensor.bytes.size();
    separator = ",";
  }
  out += '}';
  out.resize((out.size() + alignment - 1) / alignment * alignment, ' ');
  const uint64_t length = out.size() - kLengthBytes;
  for (size_t i = 0; i < kLengthBytes; ++i) out[i] = static_cast<char>(length >> (8 * i));
  return out;
}

Result<void> write_safetensors(const std::string& path, std::vector<TensorToStore> tensors,
                               const std::map<std::string, std::string>& metadata) {
  sort_for_storage(tensors);
  const std::string header = encode_safetensors_header(tensors, metadata);
  std::vector<std::span<const std::byte>> parts = {as_byte_span(header)};
  for (const TensorToStore& tensor : tensors) parts.push_back(tensor.bytes);
  return write_output(path, parts);
}

}  // namespace smelt
