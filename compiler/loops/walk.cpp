#include "compiler/loops/walk.h"

#include <algorithm>
#include <numeric>

namespace smelt {

std::vector<Lifetime> lifetimes(const LoopFunction& function) {
  std::vector<Lifetime> result(function.buffers.size());
  const auto extend = [&](int32_t buffer, int32_t first, int32_t last) {
    Lifetime& lifetime = result[static_cast<size_t>(buffer)];
    lifetime.first = std::min(lifetime.first, first);
    lifetime.last = std::max(lifetime.last, last);
  };
  for (size_t k = 0; k < function.kernels.size(); ++k) {
    const int32_t innermost = repeat_of(function, k);
    for_each_buffer(function.kernels[k], [&](int32_t buffer) {
      extend(buffer, static_cast<int32_t>(k), static_cast<int32_t>(k));
      while (function.buffers[static_cast<size_t>(buffer)].storage == Storage::Slice)
        buffer = function.buffers[static_cast<size_t>(buffer)].ref;
      extend(buffer, static_cast<int32_t>(k), static_cast<int32_t>(k));
      // What comes from outside of a repetition has to be there in each of its steps.
      const int32_t home = function.buffers[static_cast<size_t>(buffer)].repeat;
      for (int32_t r = innermost; r != home && r >= 0; r = function.repeats[static_cast<size_t>(r)].parent)
        extend(buffer, function.repeats[static_cast<size_t>(r)].first,
               function.repeats[static_cast<size_t>(r)].last - 1);
    });
  }
  return result;
}

std::vector<int32_t> outer_loops(const Kernel& kernel) {
  std::vector<int32_t> outer(static_cast<size_t>(kernel.num_outer));
  std::iota(outer.begin(), outer.end(), 0);
  return outer;
}

double usual_times(const LoopFunction& function, size_t kernel) {
  double times = 1;
  for (int32_t r = repeat_of(function, kernel); r >= 0; r = function.repeats[static_cast<size_t>(r)].parent)
    times *= static_cast<double>(usual_size(function, function.repeats[static_cast<size_t>(r)].steps));
  return times;
}

}  // namespace smelt
