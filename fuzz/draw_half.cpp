#include "fuzz/draw_half.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ir/half_bits.h"

namespace smelt::fuzz {
namespace {

constexpr double kProducts = 0.6;      // of what is drawn
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
  std::string formula;
};

Layout draw_layout(NodePool& pool, const Shape& left) {
  Numbers& numbers = pool.numbers();
  std::vector<std::string> a, b{"k", "j"}, out;
  for (size_t i = 0; i + 1 < left.size(); ++i) a.push_back(std::string(1, static_cast<char>('a' + i)));
  out = a;
  a.emplace_back("k");
  if (left.size() == 3 && numbers.chance(0.4)) b.emplace_back("a");  // a batch
  if (b.size() == 2 && numbers.chance(0.4)) {
    b.emplace_back("p");
    out.emplace_back("p");
  }
  out.emplace_back("j");
  for (size_t i = b.size(); i > 1; --i)
    std::swap(b[i - 1], b[static_cast<size_t>(numbers.integer(0, static_cast<int64_t>(i) - 1))]);
  Layout layout;
  for (const std::string& name : b)
    layout.right.push_back(name == "k" ? left.back() : name == "a" ? left.front() : pool.draw_extent());
  layout.formula = fmt::format("[{}] [{}] -> [{}]", fmt::join(a, ","), fmt::join(b, ","), fmt::join(out, ","));
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
  const Made second = product(draw_argument(pool, half, shape), right());
  return second ? pool.add(OpKind::Add, {*first, *second}) : first;
}

}  // namespace

Made draw_through_half(NodePool& pool) {
  const DType half = pool.draw_half_dtype();
  const Made made = pool.numbers().chance(kProducts) ? draw_product(pool, half) : draw_rounded(pool, half, 0, 4);
  if (made) pool.keep(*made);
  return made;
}

}  // namespace smelt::fuzz
