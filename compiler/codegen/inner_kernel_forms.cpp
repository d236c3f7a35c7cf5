#include "compiler/codegen/inner_kernel_forms.h"

#include <fmt/format.h>

namespace smelt {

/// Which operands are stored in another type than `dtype`, that of the arithmetic.
static std::string operands(DType left, DType right, DType dtype) {
  std::string text;
  if (left != dtype) text += fmt::format("_a_{}", to_string(left));
  if (right != dtype) text += fmt::format("_b_{}", to_string(right));
  return text;
}

std::string MicroKernelForm::name() const {
  std::string name = fmt::format("micro_{}x{}_{}", rows, vectors, to_string(dtype)) + operands(left, right, dtype);
  if (unit_steps) name += "_k1";
  if (unit_rows && !unit_steps) name += "_r1";
  if (columns != Columns::Whole) name += columns == Columns::LastMasked ? "_lastmasked" : "_masked";
  if (row_stride != 0) name += fmt::format("_row{}", row_stride);
  if (fetch_rows) name += "_fetch";
  if (pairs) name += "_pairs";
  if (direct) name += fetch_results ? "_directfetch" : "_direct";
  if (turns) name += "_turns";
  if (accumulate) name += "_add";
  if (add_last) name += "_addlast";
  return name;
}

std::string DotKernelForm::name() const {
  return fmt::format("dot_{}x{}_{}{}", rows, columns, to_string(dtype), turns ? "_turns" : "") +
         operands(left, right, dtype);
}

std::string StreamedKernelForm::name() const {
  return fmt::format("streamed_{}x{}_{}{}", rows, vectors, to_string(dtype), accumulate ? "_add" : "") +
         operands(left, right, dtype);
}

}  // namespace smelt
