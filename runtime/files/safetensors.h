// safetensors: named tensors in one file. Reads any well-formed file and refuses every other one with the
// reason; writes sorted, so equal content gives equal bytes.
//
//   u64 little-endian N | N bytes of JSON | data
//   {"name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},..,"__metadata__":{"key":"text",..}}
//
// Source: huggingface/safetensors, README and src/tensor.rs.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/support/limits.h"
#include "ir/support/result.h"
#include "ir/type.h"
#include "runtime/buffer.h"

namespace smelt {

constexpr size_t kMaxStoredRank = 16;

/// One tensor of a file that is in memory.
struct StoredTensor {
  std::string name;
  std::string dtype_name;      // as in the file: `F32`
  std::optional<DType> dtype;  // nullopt: the format knows it, we do not
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // in the data part
};

struct Safetensors {
  Buffer file;
  uint64_t data_begin = 0;            // of the data part in `file`
  std::vector<StoredTensor> tensors;  // in the order of the header
  std::map<std::string, std::string> metadata;

  const StoredTensor* find(std::string_view name) const;
  std::span<const std::byte> bytes(const StoredTensor& tensor) const;
  /// The length field and the JSON.
  std::span<const std::byte> header() const { return file.bytes().subspan(0, data_begin); }
};

/// Errors: Input with the byte, tensor and field at fault; Limit beyond `limits`. `name` stands for the file.
Result<Safetensors> parse_safetensors(Buffer file, const std::string& name, const Limits& limits = {});
/// The same from a file; a file of another well-known kind is recognised and refused with what to do about
/// it.
Result<Safetensors> read_safetensors(const std::string& path, const Limits& limits = {});

/// A tensor to write; the bytes stay the caller's.
struct TensorToStore {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Sorts into the order of the file: larger element types first, so that all stay aligned, then by name.
void sort_for_storage(std::vector<TensorToStore>& tensors);

/// Length field and JSON of a file that holds `tensors`, sorted before, one after another. Spaces at the end
/// make its size a multiple of `alignment`.
std::string encode_safetensors_header(std::span<const TensorToStore> tensors,
                                      const std::map<std::string, std::string>& metadata, uint64_t alignment = 64);

/// Sorts and writes as write_output does. Errors: Output.
Result<void> write_safetensors(const std::string& path, std::vector<TensorToStore> tensors,
                               const std::map<std::string, std::string>& metadata);

}  // namespace smelt
