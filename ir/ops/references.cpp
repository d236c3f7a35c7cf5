#include "ir/ops/references.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>

#include "ir/evaluator.h"
#include "ir/index_formula.h"
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

/// The sizes of all indices of a formula, in a call.
Sizes index_sizes(const IndexFormula& formula, std::span<const RefTensor* const> operands, const Sizes& result) {
  std::vector<Shape> shapes;
  for (size_t k = 0; k < formula.operands.size(); ++k) shapes.push_back(operands[k]->type.shape);
  const Result<Shape> extents = extents_of(formula, shapes);
  SMELT_CHECK(extents.has_value(), "{}", extents.error().message);
  Sizes sizes = result;
  for (int32_t index = formula.rank; index < formula.num_indices(); ++index) {
    const Extent& extent = (*extents)[static_cast<size_t>(index)];
    sizes.push_back(extent.bound);
    for (size_t k = 0; k < formula.operands.size() && !extent.is_static(); ++k) {
      const int axis = formula.operands[k].plain_axis_of(index);
      if (axis >= 0) sizes.back() = operands[k]->sizes[static_cast<size_t>(axis)];
    }
  }
  return sizes;
}

/// The element of `x` at point `index`, or -1 outside of it.
int64_t element_at(const IndexMap& map, const Sizes& index, const RefTensor& x, const Sizes& strides) {
  int64_t element = 0;
  for (size_t axis = 0; axis < map.axes.size(); ++axis) {
    int64_t position = map.axes[axis].constant;
    for (const auto& [term, factor] : map.axes[axis].terms) position += factor * index[static_cast<size_t>(term)];
    if (position < 0 || position >= x.sizes[axis]) return -1;
    element += position * strides[axis];
  }
  return element;
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

namespace {

/// One side of a contraction: its elements over the summed indices, at one point of the result.
class GatheredSide {
 public:
  GatheredSide(const IndexFormula& formula, size_t side, const Sizes& sizes, const RefTensor& like)
      : map_(formula.operands[side]), rank_(formula.rank), sizes_(sizes), strides_(strides_of(like.sizes)) {
    for (size_t axis = 0; axis < map_.axes.size(); ++axis) element_ = element_ + map_.axes[axis] * strides_[axis];
    for_each_index(Sizes(sizes.begin() + rank_, sizes.end()), [&](const Sizes& inner) {
      points_.push_back(inner);
      int64_t offset = 0;
      for (size_t k = 0; k < inner.size(); ++k)
        offset += inner[k] * element_.coefficient(rank_ + static_cast<int32_t>(k));
      offsets_.push_back(offset);
    });
    values_.resize(static_cast<Eigen::Index>(points_.size()));
  }

  const Eigen::VectorXd& at(const Sizes& out, const RefTensor& x) {
    int64_t start = element_.constant;
    for (int32_t index = 0; index < rank_; ++index)
      start += out[static_cast<size_t>(index)] * element_.coefficient(index);
    if (!map_.bounded && start == start_ && &x == loaded_) return values_;
    start_ = start;
    loaded_ = &x;
    Sizes index = out;
    index.resize(sizes_.size());
    for (size_t k = 0; k < points_.size(); ++k) {
      int64_t at = start + offsets_[k];
      if (map_.bounded) {
        std::ranges::copy(points_[k], index.begin() + rank_);
        at = element_at(map_, index, x, strides_);
      }
      values_[static_cast<Eigen::Index>(k)] = at < 0 ? 0.0 : x.values[static_cast<size_t>(at)];
    }
    return values_;
  }

 private:
  const IndexMap& map_;
  int32_t rank_;
  const Sizes& sizes_;
  Sizes strides_;
  Affine element_;  // where nothing lies outside
  std::vector<Sizes> points_;
  std::vector<int64_t> offsets_;
  int64_t start_ = -1;  // what `values_` are
  const RefTensor* loaded_ = nullptr;
  Eigen::VectorXd values_;
};

}  // namespace

// Both operands with the summed indices gathered to a vector, one dot product a result element.
void contract(const TensorReferenceArgs& args) {
  const IndexFormula& formula = args.node.attrs.formula("formula");
  const Sizes sizes = index_sizes(formula, args.operands, args.result.sizes);
  GatheredSide left(formula, 0, sizes, *args.operands[0]), right(formula, 1, sizes, *args.operands[1]);
  for (size_t pair = 0; pair < args.operands.size(); pair += 2) {
    size_t next = 0;
    for_each_index(args.result.sizes, [&](const Sizes& out) {
      args.result.values[next++] += left.at(out, *args.operands[pair]).dot(right.at(out, *args.operands[pair + 1]));
    });
  }
}

void read(const TensorReferenceArgs& args) {
  const IndexMap& map = args.node.attrs.formula("formula").operands[0];
  const double outside = args.node.attrs.number("outside");
  const Sizes strides = strides_of(args.operands[0]->sizes);
  size_t next = 0;
  for_each_index(args.result.sizes, [&](const Sizes& index) {
    const int64_t at = element_at(map, index, *args.operands[0], strides);
    args.result.values[next++] = at < 0 ? outside : args.operands[0]->values[static_cast<size_t>(at)];
  });
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

/// visit(start, row) for each element of the index, in order: where its row begins in a tensor of these sizes, and how
/// many elements that has.
template <typename Visit>
void for_each_row(const Node& node, const Sizes& sizes, const RefTensor& index, const Visit& visit) {
  const size_t axis = row_axis(node);
  const auto product = [](auto begin, auto end) { return std::accumulate(begin, end, int64_t{1}, std::multiplies{}); };
  const auto at = static_cast<std::ptrdiff_t>(axis);
  const int64_t batch = product(sizes.begin(), sizes.begin() + at), row = product(sizes.begin() + at + 1, sizes.end());
  const int64_t labels = batch == 0 ? 0 : index.count() / batch;
  for (int64_t i = 0; i < batch * labels; ++i)
    visit((i / labels * sizes[axis] + static_cast<int64_t>(index.values[static_cast<size_t>(i)])) * row, row);
}

void gather(const TensorReferenceArgs& args) {
  size_t next = 0;
  for_each_row(args.node, args.operands[0]->sizes, *args.operands[1], [&](int64_t start, int64_t row) {
    for (int64_t i = 0; i < row; ++i) args.result.values[next++] = args.operands[0]->values[start + i];
  });
}

void scatter_add(const TensorReferenceArgs& args) {
  size_t next = 0;
  for_each_row(args.node, args.result.sizes, *args.operands[0], [&](int64_t start, int64_t row) {
    for (int64_t i = 0; i < row; ++i) args.result.values[start + i] += args.operands[1]->values[next++];
  });
}

void put_rows(const TensorReferenceArgs& args) {
  const RefTensor &index = *args.operands[0], &rows = *args.operands[1];
  args.result.values = args.operands[2]->values;
  const int64_t row = args.result.sizes[0] == 0 ? 0 : args.result.count() / args.result.sizes[0];
  size_t next = 0;
  for (const double position : index.values) {
    const int64_t start = static_cast<int64_t>(position) * row;
    for (int64_t i = 0; i < row; ++i) args.result.values[start + i] = rows.values[next++];
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
