// NumPy's .npy: one array. Versions 1 to 3 are read; whatever the file's byte order and memory order, the
// result is row-major in this machine's byte order. Source: numpy/lib/format.py, NEP 1.
#pragma once

#include <string>
#include <vector>

#include "ir/support/limits.h"
#include "ir/support/result.h"
#include "runtime/host_tensor.h"

namespace smelt {

struct NpyHeader {
  std::string descr;         // as in the file, such as `<f4`
  DType dtype = DType::F32;  // of the result
  int64_t stored_bytes = 4;  // an element in the file
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<int64_t> shape;
  uint64_t data_begin = 0;
};

struct NpyFile {
  HostTensor tensor;
  std::vector<std::string> notes;  // what was changed on the way: transposed, widened
};

/// Bytes that are enough to read any header that is accepted: what stands before it has 12.
constexpr uint64_t npy_start_bytes(const Limits& limits) { return limits.npy_header + 12; }

/// Reads the header at the start of `file`, which may be cut behind it. Element types map to ours as follows:
/// f2 -> f32, u2 -> i32, u4 -> i64, the others to the type of the same name.
/// Errors: Limit beyond `limits`; Input naming the byte or key at fault; `O`, strings and records are refused with the
/// reason.
Result<NpyHeader> parse_npy_header(std::span<const std::byte> file, const std::string& name, const Limits& limits = {});

/// Errors: Input when a file of `file_bytes` bytes is not what its header says.
Result<void> check_npy_size(const NpyHeader& header, uint64_t file_bytes, const std::string& name);

/// Errors: as parse_npy_header; Input when the size differs from the header's; Limit when memory is short.
Result<NpyFile> parse_npy(Buffer file, const std::string& name, const Limits& limits = {});
Result<NpyFile> read_npy(const std::string& path, const Limits& limits = {});

/// Version 1.0, little-endian, padded like NumPy's own. bf16 and f16 are written as `<f4` and `<f2`.
/// Errors: Output.
Result<void> write_npy(const std::string& path, const HostTensor& tensor);
/// `f4` of f32, as numpy's `astype` takes it; of bf16 that of the f32 it is written as.
std::string_view numpy_name(DType dtype);
/// The header alone, for an array of this type.
std::string encode_npy_header(DType dtype, std::span<const int64_t> shape);

}  // namespace smelt
