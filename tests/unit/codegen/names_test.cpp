// Inner kernels are shared by name, by all products of a program: forms that are different code have different names.
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "compiler/codegen/inner_kernel_forms.h"

namespace smelt {
namespace {

/// Everything that makes a difference, in place of the name.
auto code_of(const MicroKernelForm& f) {
  return std::tuple(f.dtype, f.left, f.right, f.rows, f.vectors, f.columns, f.unit_steps, f.unit_rows && !f.unit_steps,
                    f.row_stride, f.fetch_rows, f.accumulate, f.add_last, f.direct, f.pairs, f.turns);
}

std::vector<MicroKernelForm> micro_kernel_forms() {
  using Columns = MicroKernelForm::Columns;
  std::vector<MicroKernelForm> forms;
  for (const DType left : {DType::F32, DType::BF16, DType::F16})
    for (const DType right : {DType::F32, DType::BF16, DType::F16})
      for (const auto& [rows, vectors] : {std::pair(1, 1), std::pair(11, 1), std::pair(1, 11), std::pair(8, 3)})
        for (const Columns columns : {Columns::Whole, Columns::LastMasked, Columns::AllMasked})
          for (const int64_t row_stride : {0, 1, 11})
            for (unsigned flags = 0; flags < 1u << 8; ++flags)
              forms.push_back({.left = left,
                               .right = right,
                               .rows = rows,
                               .vectors = vectors,
                               .columns = columns,
                               .unit_steps = (flags & 1u) != 0,
                               .unit_rows = (flags & 2u) != 0,
                               .row_stride = row_stride,
                               .fetch_rows = (flags & 4u) != 0,
                               .accumulate = (flags & 8u) != 0,
                               .add_last = (flags & 16u) != 0,
                               .direct = (flags & 32u) != 0,
                               .pairs = (flags & 64u) != 0,
                               .turns = (flags & 128u) != 0});
  return forms;
}

TEST_CASE("micro-kernels of one name are the same code") {
  // `_last` and `_add` of masked columns that accumulate were the `_last_add` of sums that are added at the end: random
  // graphs 31006405 and 31007966 read past the end of their columns in company of others.
  std::map<std::string, decltype(code_of({}))> known;
  size_t clashes = 0;
  for (const MicroKernelForm& form : micro_kernel_forms()) {
    const auto [at, fresh] = known.try_emplace(form.name(), code_of(form));
    if (at->second != code_of(form) && clashes++ == 0) CHECK_MESSAGE(false, form.name());
  }
  CHECK(clashes == 0);
}

TEST_CASE("dot kernels of one name are the same code") {
  std::map<std::string, DotKernelForm> known;
  for (const DType type : {DType::F32, DType::BF16, DType::F16})
    for (const DType other : {DType::F32, DType::BF16, DType::F16})
      for (const auto& [rows, columns] : {std::pair(1, 1), std::pair(1, 11), std::pair(11, 1), std::pair(4, 8)})
        for (const bool turns : {false, true}) {
          const DotKernelForm form{.left = type, .right = other, .rows = rows, .columns = columns, .turns = turns};
          CHECK_MESSAGE(known.try_emplace(form.name(), form).second, form.name());
        }
}

}  // namespace
}  // namespace smelt
