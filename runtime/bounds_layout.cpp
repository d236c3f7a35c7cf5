#include "runtime/bounds_layout.h"

#include <cstring>
#include <vector>

namespace smelt {

void copy_by_bounds(const TensorType& type, std::span<const int64_t> shape, const std::byte* from, std::byte* to,
                    Direction direction) {
  if (*num_elements(shape) == 0) return;
  const auto width = static_cast<size_t>(size_of(type.dtype));
  const size_t rank = shape.size();
  const std::vector<int64_t> strides = row_major_strides(type.shape);
  const size_t run = rank == 0 ? width : width * static_cast<size_t>(shape[rank - 1]);  // the last axis in one piece
  std::vector<int64_t> index(rank, 0);
  size_t dense = 0;
  while (true) {
    size_t bounded = 0;
    for (size_t axis = 0; axis < rank; ++axis) bounded += static_cast<size_t>(index[axis] * strides[axis]) * width;
    std::memcpy(to + (direction == Direction::ToBounds ? bounded : dense),
                from + (direction == Direction::ToBounds ? dense : bounded), run);
    dense += run;
    size_t axis = rank < 2 ? 0 : rank - 1;
    while (axis > 0 && ++index[axis - 1] == shape[axis - 1]) index[--axis] = 0;
    if (axis == 0) return;
  }
}

Result<HostTensor> dense_output(const CallFrame& frame, size_t index) {
  const Binding& binding = frame.entry().outputs.at(index);
  std::vector<int64_t> shape;
  for (const Extent& extent : binding.type.shape)
    shape.push_back(extent.is_static() ? extent.bound : frame.extent(extent.symbol));
  SMELT_TRY(HostTensor out, HostTensor::zeros(binding.type.dtype, shape, binding.name));
  copy_by_bounds(binding.type, shape, frame.output(index), out.data.data(), Direction::ToDense);
  return out;
}

}  // namespace smelt
