// Tensors whose run-time axes are below their bounds: dense for hosts, laid out by the bounds for generated code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ir/support/result.h"
#include "ir/type.h"
#include "runtime/call_frame.h"
#include "runtime/host_tensor.h"

namespace smelt {

/// Copies a tensor of actual sizes `shape` between dense memory and memory laid out by the bounds of `type`.
enum class Direction : uint8_t { ToBounds, ToDense };
void copy_by_bounds(const TensorType& type, std::span<const int64_t> shape, const std::byte* from, std::byte* to,
                    Direction direction);

/// Output `index` of a frame that was called, dense. Errors: Limit when memory is short.
Result<HostTensor> dense_output(const CallFrame& frame, size_t index);

}  // namespace smelt
