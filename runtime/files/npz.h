// NumPy's .npz: a zip archive of .npy files. An array is named by a path into the archive: `digits.npz/x`.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "ir/support/result.h"
#include "runtime/files/npy.h"

namespace smelt {

/// The archive and the array of `digits.npz/x`; nothing when no part of the path before the last ends in `.npz`.
std::optional<std::pair<std::string, std::string>> split_npz_path(std::string_view path);

/// The header of an array, and how many bytes its .npy file has. Errors: Input, naming the arrays that there are when
/// the path names none of them.
struct NpzHeader {
  NpyHeader header;
  uint64_t file_bytes = 0;
};
Result<NpzHeader> read_npz_header(const std::string& path, const Limits& limits = {});
Result<NpyFile> read_npz(const std::string& path, const Limits& limits = {});

/// Arrays by name, as `numpy.savez` writes them. bf16 is written as f32. Errors: Output, Limit.
struct NamedArray {
  std::string name;
  const HostTensor& tensor;
};
Result<void> write_npz(const std::string& path, std::span<const NamedArray> arrays);

}  // namespace smelt
