// Reference tensors in memory as compiled code sees them: elements of the dtype, laid out by bounds.
#pragma once

#include <cstddef>
#include <span>

#include "ir/evaluator.h"
#include "ir/type.h"

namespace smelt::fuzz {

/// Writes the elements of `tensor`; where an actual size is below its bound, the bytes between stay as they are.
void write_tensor(std::byte* memory, const RefTensor& tensor);
RefTensor read_tensor(const std::byte* memory, const TensorType& type, std::span<const int64_t> extents);

}  // namespace smelt::fuzz
