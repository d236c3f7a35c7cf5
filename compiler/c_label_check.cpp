#include "compiler/c_label_check.h"

#include <fmt/format.h>

namespace smelt {

std::string label_check(const Binding& input, const std::string& pointer,
                        const std::function<std::string(int32_t)>& size_of) {
  const LabelLimit& limit = input.limit;
  const std::string actual = limit.symbol < 0 ? "" : size_of(limit.symbol);
  const Shape& shape = input.type.shape;
  std::string index = "0", counters, loops;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    const std::string end = shape[axis].is_static() ? std::to_string(shape[axis].bound) : size_of(shape[axis].symbol);
    counters += fmt::format("{}i{}", axis == 0 ? "    int64_t " : ", ", axis);
    loops += fmt::format("    for (i{0} = 0; i{0} < {1}; ++i{0})\n", axis, end);
    index = axis == 0 ? "i0" : fmt::format("({}) * {} + i{}", index, shape[axis].bound, axis);
  }
  return fmt::format(
      "  {{ /* labels of `{}` */\n{}{}{}"
      "      if ({}[{}] < 0 || {}[{}] >= {}) return SMELT_CALL_BAD_LABEL;\n  }}\n",
      limit.dim, counters, counters.empty() ? "" : ";\n", loops, pointer, index, pointer, index,
      actual.empty() ? std::to_string(limit.below) : actual);
}

}  // namespace smelt
