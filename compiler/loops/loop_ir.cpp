#include "compiler/loops/loop_ir.h"

#include <fmt/format.h>

#include <utility>

namespace smelt {

std::string name_of(const LoopFunction& function, size_t kernel) {
  return fmt::format("k{}_{}", kernel, function.kernels[kernel].label);
}

int64_t usual_size(const LoopFunction& function, const Extent& extent) {
  if (extent.is_static() || static_cast<size_t>(extent.symbol) >= function.usual.size()) return extent.bound;
  return function.usual[static_cast<size_t>(extent.symbol)] * extent.scale;
}

int32_t repeat_of(const LoopFunction& function, size_t kernel) {
  int32_t innermost = -1;  // outer ones come first
  for (size_t r = 0; r < function.repeats.size(); ++r) {
    const Repeat& repeat = function.repeats[r];
    const auto k = static_cast<int32_t>(kernel);
    if (repeat.first <= k && k < repeat.last) innermost = static_cast<int32_t>(r);
  }
  return innermost;
}

bool is_inside(const LoopFunction& function, int32_t inner, int32_t outer) {
  while (inner >= 0 && inner != outer) inner = function.repeats[static_cast<size_t>(inner)].parent;
  return inner == outer;
}

void insert_kernel(LoopFunction& function, size_t at, Kernel kernel) {
  insert_kernel(function, at, std::move(kernel), repeat_of(function, at));
}

void insert_kernel(LoopFunction& function, size_t at, Kernel kernel, int32_t inside_of) {
  for (size_t r = 0; r < function.repeats.size(); ++r) {
    Repeat& repeat = function.repeats[r];
    const bool holds_it = is_inside(function, inside_of, static_cast<int32_t>(r));
    if (repeat.first > static_cast<int32_t>(at) || (repeat.first == static_cast<int32_t>(at) && !holds_it))
      ++repeat.first;
    if (repeat.last > static_cast<int32_t>(at)) ++repeat.last;
  }
  function.kernels.insert(function.kernels.begin() + static_cast<ptrdiff_t>(at), std::move(kernel));
}

Kernel take_kernel(LoopFunction& function, size_t at) {
  for (Repeat& repeat : function.repeats) {
    if (repeat.first > static_cast<int32_t>(at)) --repeat.first;
    if (repeat.last > static_cast<int32_t>(at)) --repeat.last;
  }
  Kernel taken = std::move(function.kernels[at]);
  function.kernels.erase(function.kernels.begin() + static_cast<ptrdiff_t>(at));
  return taken;
}

int32_t add_buffer(LoopFunction& function, LoopBuffer buffer) {
  function.buffers.push_back(std::move(buffer));
  return static_cast<int32_t>(function.buffers.size()) - 1;
}

void merge_depth(Product& product) {
  std::vector<ProductAxis> merged;
  for (const ProductAxis& axis : product.inner) {
    ProductAxis* outer = merged.empty() ? nullptr : &merged.back();
    const int64_t size = axis.extent.bound;
    if (outer != nullptr && axis.extent.is_static() && outer->a_stride == size * axis.a_stride &&
        outer->b_stride == size * axis.b_stride) {
      const Extent& times = outer->extent;
      const Extent both =
          times.is_static() ? Extent(times.bound * size) : Extent(times.bound * size, times.symbol, times.scale * size);
      *outer = {both, axis.a_stride, axis.b_stride, -1};
    } else {
      merged.push_back(axis);
    }
  }
  product.inner = std::move(merged);
}

}  // namespace smelt
