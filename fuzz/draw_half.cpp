#include "fuzz/draw_half.h"

#include "ir/half_bits.h"

namespace smelt::fuzz {
namespace {

constexpr double kHalfProducts = 0.6;  // of what is drawn
constexpr double kWideOperands = 0.2;  // of a product's right operands: not rounded
constexpr double kSums = 0.3;          // of products: two of one shape, which `join_products` makes one

using Made = std::optional<NodeId>;

/// A live float, rounded; the half stays live.
Made draw_rounded(NodePool& pool, DType half, size_t min_rank, size_t max_rank) {
  const Made x = pool.draw_live(DTypeClass::Float, min_rank, max_rank);
  const Made rounded = x ? pool.to_half(*x, half) : std::nullopt;
  if (!rounded) return std::nullopt;
  pool.keep(*rounded);
  return pool.to_float(*rounded);
}

/// An argument of the dtype, as a float of the graph's.
Made draw_argument(NodePool& pool, DType dtype, const Shape& shape) {
  const NodeId argument = pool.argument({dtype, shape});
  pool.keep(argument);
  return is_half(dtype) ? pool.to_float(argument) : Made(argument);
}

/// A live half with two or three axes, a float that becomes one, or an argument.
Made draw_left(NodePool& pool, DType half) {
  if (const Made live = pool.draw_live_half(2, 3); live && pool.numbers().chance(0.4)) return pool.to_float(*live);
  if (const Made rounded = draw_rounded(pool, half, 2, 3); rounded && pool.numbers().chance(0.5)) return rounded;
  return draw_argument(pool, half, {pool.draw_extent(), pool.draw_extent()});
}

/// [.., k] [k, j in any order, with a batch or without] -> [.., j]: the left operand lies along the depth.
struct Layout {
  Shape right;
  IndexFormula formula;
};

Layout draw_layout(NodePool& pool, const Shape& left) {
  Numbers& numbers = pool.numbers();
  const auto rows = static_cast<int32_t>(left.size()) - 1;
  const bool has_batch = left.size() == 3 && numbers.chance(0.4), has_more = !has_batch && numbers.chance(0.4);
  Layout layout;
  IndexFormula& formula = layout.formula;
  formula.rank = rows + 1 + (has_more ? 1 : 0);
  formula.extents.assign(static_cast<size_t>(formula.rank) + 1, unstated());
  const int32_t column = formula.rank - 1, depth = formula.rank;
  std::vector<int32_t> indices{depth, column};
  if (has_batch) indices.push_back(0);
  if (has_more) indices.push_back(rows);
  for (size_t i = indices.size(); i > 1; --i)
    std::swap(indices[i - 1], indices[static_cast<size_t>(numbers.integer(0, static_cast<int64_t>(i) - 1))]);
  formula.operands.resize(2);
  for (int32_t row = 0; row < rows; ++row) formula.operands[0].axes.push_back(Affine::of(row));
  formula.operands[0].axes.push_back(Affine::of(depth));
  for (const int32_t index : indices) {
    formula.operands[1].axes.push_back(Affine::of(index));
    layout.right.push_back(index == depth ? left.back() : has_batch && index == 0 ? left.front() : pool.draw_extent());
  }
  return layout;
}

Made draw_product(NodePool& pool, DType half) {
  const Made left = draw_left(pool, half);
  if (!left) return std::nullopt;
  const Shape shape = pool.type(*left).shape;  // copied: nodes are added
  const Layout layout = draw_layout(pool, shape);
  const auto right = [&] {
    return draw_argument(pool, pool.numbers().chance(kWideOperands) ? pool.dtype() : half, layout.right);
  };
  const auto product = [&](Made a, Made b) {
    return a && b ? pool.add(OpKind::Contract, {*a, *b}, {{"formula", layout.formula}}) : std::nullopt;
  };
  const Made first = product(left, right());
  if (!first || !pool.numbers().chance(kSums)) return first;
  const Made other_right = right();  // one draw after the other, whatever the compiler
  const Made other_left = draw_argument(pool, half, shape);
  const Made second = product(other_left, other_right);
  return second ? pool.add(OpKind::Add, {*first, *second}) : first;
}

}  // namespace

Made draw_through_half(NodePool& pool) {
  const DType half = pool.draw_half_dtype();
  const Made made = pool.numbers().chance(kHalfProducts) ? draw_product(pool, half) : draw_rounded(pool, half, 0, 4);
  if (made) pool.keep(*made);
  return made;
}

}  // namespace smelt::fuzz
