// Files that users try to load and that we do not: recognised by their first bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "ir/support/result.h"

namespace smelt {

/// Errors: Input when `file` is a PyTorch, pickle, HDF5, ONNX, NumPy, .. file, with how to convert it.
Result<void> refuse_foreign_weights(std::span<const std::byte> file, const std::string& path);

}  // namespace smelt
