#include "ir/ops/references.h"

#include <Eigen/Dense>

#include <cmath>
#include <numbers>

#include "ir/evaluator.h"
#include "ir/ops/contract_formula.h"
#include "ir/philox.h"
#include "ir/support/check.h"

namespace smelt::references {
namespace {

using Sizes = std::vector<int64_t>;

Sizes strides_of(const Sizes& sizes) {
  Sizes strides(sizes.size());
  int64_t stride = 1;
  for (size_t axis = sizes.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= sizes[axis];
  }
  return strides;
}

/// Calls visit(index) for each index below `sizes`, in row-major order.
template <typename Visit>
void for_each_index(const Sizes& sizes, Visit visit) {
  for (const int64_t size : sizes) {
    if (size == 0) return;
  }
  Sizes index(sizes.size());
  for (;;) {
    visit(index);
    size_t axis = sizes.size();
    while (axis > 0 && ++index[axis - 1] == sizes[axis - 1]) index[--axis] = 0;
    if (axis == 0) return;
  }
}

int64_t offset_of(const Sizes& index, const Sizes& strides) {
  int64_t offset = 0;
  for (size_t axis = 0; axis < index.size(); ++axis) offset += index[axis] * strides[axis];
  return offset;
}

/// For each of `names` the stride of that axis in a tensor whose axes are `indices`, 0 when it has none.
Sizes strides_by_name(const std::vector<std::string>& names, const std::vector<std::string>& axes, const Sizes& sizes) {
  const Sizes strides = strides_of(sizes);
  Sizes result;
  for (const std::string& name : names) result.push_back(stride_of(axes, strides, name));
  return result;
}

struct Draw {
  double even = 0;  // the pair's uniform numbers
  double odd = 0;
  bool is_odd = false;
};

double unit_interval(uint32_t word) { return std::ldexp(static_cast<double>(word >> 9) + 0.5, -23); }

template <typename Value>
void draw(const TensorReferenceArgs& args, Value value) {
  const auto seed = static_cast<uint64_t>(static_cast<int64_t>(args.operands[0]->values[0]));
  const auto run = static_cast<uint32_t>(static_cast<int64_t>(args.operands[1]->values[0]));
  const auto site = static_cast<uint32_t>(args.node.attrs.integer("site"));
  const auto loop = static_cast<uint32_t>(args.node.attrs.integer("loop"));
  const Sizes strides = row_major_strides(args.result.type.shape);
  size_t next = 0;
  for_each_index(args.result.sizes, [&](const Sizes& index) {
    const int64_t element = offset_of(index, strides);
    const auto words = philox(seed, {static_cast<uint32_t>(element / 4), loop, run, site});
    const size_t pair = static_cast<size_t>(element % 4 / 2) * 2;
    args.result.values[next++] =
        value(Draw{unit_interval(words[pair]), unit_interval(words[pair + 1]), element % 2 == 1});
  });
}

}  // namespace

void contract(const TensorReferenceArgs& args) {
  const Result<ContractFormula> formula = parse_formula(args.node.attrs.text("formula"));
  SMELT_CHECK(formula.has_value(), "{}", args.node.attrs.text("formula"));
  const RefTensor &a = *args.operands[0], &b = *args.operands[1];
  const std::vector<std::string> summed = formula->summed();
  Sizes summed_sizes;
  for (const std::string& name : summed) summed_sizes.push_back(b.sizes[position_of(formula->rhs, name)]);

  // Both operands with the summed axes gathered to a vector, one dot product a result element.
  const Sizes a_out = strides_by_name(formula->out, formula->lhs, a.sizes);
  const Sizes b_out = strides_by_name(formula->out, formula->rhs, b.sizes);
  const Sizes a_sum = strides_by_name(summed, formula->lhs, a.sizes);
  const Sizes b_sum = strides_by_name(summed, formula->rhs, b.sizes);
  const auto size_of_tap = [&](const std::string& tap) {
    const int at = position_of(formula->rhs, tap);
    return at >= 0 ? b.sizes[at] : args.result.sizes[position_of(formula->out, tap)];
  };
  const int64_t a_first = window_start(formula->lhs, strides_of(a.sizes), size_of_tap);
  std::vector<int64_t> a_offsets, b_offsets;
  for_each_index(summed_sizes, [&](const Sizes& index) {
    a_offsets.push_back(offset_of(index, a_sum));
    b_offsets.push_back(offset_of(index, b_sum));
  });
  const auto length = static_cast<Eigen::Index>(a_offsets.size());
  Eigen::VectorXd left(length), right(length);
  for (size_t pair = 0; pair < args.operands.size(); pair += 2) {
    const std::vector<double>&lefts = args.operands[pair]->values, &rights = args.operands[pair + 1]->values;
    int64_t loaded = -1;  // where in `lefts` the vector `left` starts
    size_t next = 0;
    for_each_index(args.result.sizes, [&](const Sizes& index) {
      const int64_t a_start = a_first + offset_of(index, a_out), b_start = offset_of(index, b_out);
      if (a_start != loaded) {
        for (Eigen::Index k = 0; k < length; ++k) left[k] = lefts[a_start + a_offsets[k]];
        loaded = a_start;
      }
      for (Eigen::Index k = 0; k < length; ++k) right[k] = rights[b_start + b_offsets[k]];
      args.result.values[next++] += left.dot(right);
    });
  }
}

void broadcast(const TensorReferenceArgs& args) {
  const Sizes strides = strides_of(args.operands[0]->sizes);
  const std::vector<int64_t>& axes = args.node.attrs.integers("axes");
  size_t next = 0;
  for_each_index(args.result.sizes, [&](const Sizes& index) {
    int64_t offset = 0;
    for (size_t i = 0; i < axes.size(); ++i) offset += index[axes[i]] * strides[i];
    args.result.values[next++] = args.operands[0]->values[offset];
  });
}

void transpose(const TensorReferenceArgs& args) {
  const Sizes strides = strides_of(args.operands[0]->sizes);
  const std::vector<int64_t>& permutation = args.node.attrs.integers("permutation");
  size_t next = 0;
  for_each_index(args.result.sizes, [&](const Sizes& index) {
    int64_t offset = 0;
    for (size_t i = 0; i < permutation.size(); ++i) offset += index[i] * strides[permutation[i]];
    args.result.values[next++] = args.operands[0]->values[offset];
  });
}

void reshape(const TensorReferenceArgs& args) { args.result.values = args.operands[0]->values; }

void slice(const TensorReferenceArgs& args) {
  const Sizes strides = strides_of(args.operands[0]->sizes);
  const int64_t start = offset_of(args.node.attrs.integers("starts"), strides);
  size_t next = 0;
  for_each_index(args.result.sizes, [&](const Sizes& index) {
    args.result.values[next++] = args.operands[0]->values[start + offset_of(index, strides)];
  });
}

void pad(const TensorReferenceArgs& args) {
  const Sizes strides = strides_of(args.result.sizes);
  const int64_t start = offset_of(args.node.attrs.integers("low"), strides);
  size_t next = 0;
  for_each_index(args.operands[0]->sizes, [&](const Sizes& index) {
    args.result.values[start + offset_of(index, strides)] = args.operands[0]->values[next++];
  });
}

void gather(const TensorReferenceArgs& args) {
  const RefTensor &table = *args.operands[0], &index = *args.operands[1];
  const int64_t row = table.sizes[0] == 0 ? 0 : table.count() / table.sizes[0];
  size_t next = 0;
  for (const double position : index.values) {
    const int64_t start = static_cast<int64_t>(position) * row;
    for (int64_t i = 0; i < row; ++i) args.result.values[next++] = table.values[start + i];
  }
}

void scatter_add(const TensorReferenceArgs& args) {
  const RefTensor &index = *args.operands[0], &updates = *args.operands[1];
  const int64_t row = args.result.sizes[0] == 0 ? 0 : args.result.count() / args.result.sizes[0];
  size_t next = 0;
  for (const double position : index.values) {
    const int64_t start = static_cast<int64_t>(position) * row;
    for (int64_t i = 0; i < row; ++i) args.result.values[start + i] += updates.values[next++];
  }
}

void random_uniform(const TensorReferenceArgs& args) {
  draw(args, [](Draw u) { return u.is_odd ? u.odd : u.even; });
}

void random_normal(const TensorReferenceArgs& args) {
  draw(args, [](Draw u) {
    const double radius = std::sqrt(-2 * std::log(u.even));
    const double angle = 2 * std::numbers::pi * u.odd;
    return radius * (u.is_odd ? std::sin(angle) : std::cos(angle));
  });
}

}  // namespace smelt::references
