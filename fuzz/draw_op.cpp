#include "fuzz/draw_op.h"

#include <algorithm>
#include <array>

#include "fuzz/draw_attributes.h"
#include "fuzz/draw_scan.h"
#include "ir/half_bits.h"

namespace smelt::fuzz {
namespace {

constexpr double kIntegers = 0.12;  // share of integer operands where floats would do
constexpr double kHalves = 0.4;     // and of halves, in a graph that computes with them
constexpr double kWidened =
    0.6;  // share of half results that are a float again: the others are read by moves, and rarely by results
constexpr double kTwins = 0.1;  // share of ops that are drawn again with other attributes

/// x, or x mapped into the range that the op's record states when some value is outside.
std::optional<NodeId> into_domain(NodePool& pool, const OpDef& def, NodeId x) {
  constexpr Samples kAnywhere;
  if (!is_float(pool.type(x).dtype) || (def.samples.low == kAnywhere.low && def.samples.high == kAnywhere.high))
    return x;
  const auto inside = [&](double v) { return v >= def.samples.low && v <= def.samples.high; };
  if (std::ranges::all_of(pool.value(x).values, inside)) return x;
  const auto unit = pool.add(OpKind::Sigmoid, {x});
  if (!unit) return std::nullopt;
  const TensorType type = pool.type(*unit);
  const auto scaled = pool.add(OpKind::Mul, {*unit, pool.constant(def.samples.high - def.samples.low, type)});
  if (!scaled) return std::nullopt;
  return pool.add(OpKind::Add, {*scaled, pool.constant(def.samples.low, type)});
}

std::optional<NodeId> draw_number(NodePool& pool, const OpDef& def, size_t min_rank) {
  if (!def.traits.float_only && pool.numbers().chance(kIntegers)) {
    if (const auto integer = pool.draw_live(DTypeClass::Int, min_rank)) return integer;
  }
  if (pool.halves() == Halves::Computed && pool.numbers().chance(kHalves)) {
    if (const auto half = pool.draw_live_half(min_rank)) return half;
  }
  return pool.draw_live(DTypeClass::Float, min_rank);
}

/// An operand that is read as it is.
std::optional<NodeId> draw_moved(NodePool& pool, DTypeClass cls, size_t min_rank, size_t max_rank) {
  if (pool.halves() != Halves::None && cls == DTypeClass::Float && pool.numbers().chance(kHalves)) {
    if (const auto half = pool.draw_live_half(min_rank, max_rank)) return half;
  }
  return pool.draw_live(cls, min_rank, max_rank);
}

std::optional<NodeId> draw_elementwise(NodePool& pool, const OpDef& def) {
  const auto cls = static_cast<DTypeClass>(pool.numbers().integer(0, 2));
  auto x = op_kind(def) == OpKind::Cast ? draw_moved(pool, cls, 0, 4) : draw_number(pool, def, 0);
  if (op_kind(def) == OpKind::Select && pool.halves() != Halves::None) x = draw_moved(pool, DTypeClass::Float, 0, 4);
  const auto number = x;
  if (x && def.traits.logical) x = pool.condition(*x);
  if (x) x = into_domain(pool, def, *x);
  if (!x) return std::nullopt;
  std::vector<NodeId> inputs{*x};
  while (inputs.size() < def.operands.size()) {
    const auto next = into_domain(pool, def, pool.like(*x));
    if (!next) return std::nullopt;
    inputs.push_back(*next);
  }
  const auto attrs = draw_attributes(pool, def, inputs);
  if (!attrs) return std::nullopt;
  if (!infer_type(pool.graph(), op_kind(def), inputs, *attrs)) {  // one that chooses by its first operand
    const auto condition = pool.condition(*x);
    if (!condition) return std::nullopt;
    inputs[0] = *condition;
  }
  const auto made = pool.add(op_kind(def), inputs, *attrs);
  if (!made || !def.traits.logical || pool.numbers().chance(0.5)) return made;
  return pool.add(OpKind::Select,
                  {*made, *number, pool.like(*number)});  // results are numbers: a condition has to choose some
}

std::optional<NodeId> draw_on_axes(NodePool& pool, const OpDef& def) {
  std::vector<NodeId> inputs;
  if (const auto x = draw_number(pool, def, 1)) inputs.push_back(*x);
  if (inputs.empty()) return std::nullopt;
  while (inputs.size() < def.operands.size()) inputs.push_back(pool.like(inputs[0]));
  const auto attrs = draw_attributes(pool, def, inputs);
  return attrs ? pool.add(op_kind(def), inputs, *attrs) : std::nullopt;
}

std::optional<NodeId> draw_move(NodePool& pool, const OpDef& def) {
  constexpr std::array kClasses = {DTypeClass::Float, DTypeClass::Float, DTypeClass::Float,
                                   DTypeClass::Float, DTypeClass::Int,   DTypeClass::Bool};
  const auto x = draw_moved(pool, pool.numbers().pick(kClasses), 0, 4);
  if (!x) return std::nullopt;
  const auto attrs = draw_attributes(pool, def, std::array{*x});
  return attrs ? pool.add(op_kind(def), {*x}, *attrs) : std::nullopt;
}

/// A product of one to three pairs of operands.
std::optional<NodeId> add_contraction(NodePool& pool, const OpDef& def, NodeId a, NodeId b) {
  const auto attrs = draw_attributes(pool, def, std::array{a, b});
  if (!attrs) return std::nullopt;
  std::vector<NodeId> operands{a, b};
  while (operands.size() < 6 && pool.numbers().chance(0.15)) {
    const NodeId left = pool.like(a), right = pool.like(b);
    operands.insert(operands.end(), {left, right});
  }
  return pool.add(op_kind(def), operands, *attrs);
}

std::optional<NodeId> draw_contraction(NodePool& pool, const OpDef& def) {
  const bool halves = pool.halves() == Halves::Computed && pool.numbers().chance(kHalves);
  const auto draw = [&] { return halves ? pool.draw_live_half(1, 3) : pool.draw_live(DTypeClass::Float, 1, 3); };
  const auto a = draw(), b = draw();
  return a && b ? add_contraction(pool, def, *a, *b) : std::nullopt;
}

/// Of each element of a batch its own rows.
std::optional<NodeId> draw_batch_gather(NodePool& pool, const OpDef& def) {
  const auto table = draw_moved(pool, DTypeClass::Float, 2, 3);
  const auto attrs = table ? draw_attributes(pool, def, std::array{*table}) : std::nullopt;
  if (!attrs) return std::nullopt;
  const Shape& shape = pool.type(*table).shape;
  const auto batch = static_cast<size_t>(attrs->integer("batch"));
  Shape index_shape(shape.begin(), shape.begin() + batch);
  if (pool.numbers().chance(0.8)) index_shape.push_back(pool.draw_extent());
  const auto index = pool.indices(pool.value(*table).sizes[batch], &index_shape);
  return index ? pool.add(op_kind(def), {*table, *index}, *attrs) : std::nullopt;
}

std::optional<NodeId> draw_batch_scatter(NodePool& pool, const OpDef& def) {
  const auto updates = pool.draw_live(DTypeClass::Float, 2, 3);
  const auto attrs = updates ? draw_attributes(pool, def, std::array{*updates}) : std::nullopt;
  if (!attrs) return std::nullopt;
  const Shape &from = pool.type(*updates).shape, &to = attrs->type("type").shape;
  const auto batch = static_cast<size_t>(attrs->integer("batch"));
  const size_t labels = from.size() + batch + 1 - to.size();  // rank of the index
  const Shape index_shape(from.begin(), from.begin() + labels);
  const auto index = pool.indices(actual_sizes(to, pool.extents())[batch], &index_shape);
  return index ? pool.add(op_kind(def), {*index, *updates}, *attrs) : std::nullopt;
}

std::optional<NodeId> draw_gather(NodePool& pool, const OpDef& def) {
  if (def.attributes.size() > 0) return draw_batch_gather(pool, def);
  const auto table = draw_moved(pool, DTypeClass::Float, 1, 3);
  if (!table) return std::nullopt;
  const auto index = pool.indices(pool.value(*table).sizes[0], nullptr);
  return index ? pool.add(op_kind(def), {*table, *index}) : std::nullopt;
}

/// Rows of a value that go back into it, changed.
std::optional<NodeId> draw_put(NodePool& pool, const OpDef& def) {
  const auto table = draw_moved(pool, DTypeClass::Float, 1, 3);
  if (!table) return std::nullopt;
  const auto index = pool.indices(pool.value(*table).sizes[0], nullptr);
  const auto rows = index ? pool.add(OpKind::Gather, {*table, *index}) : std::nullopt;
  if (!rows) return std::nullopt;
  const NodeId changed = pool.like(*rows), to = pool.like(*table);
  return pool.add(op_kind(def), {*index, changed, to});
}

std::optional<NodeId> draw_scatter(NodePool& pool, const OpDef& def) {
  if (def.traits.overwrites) return draw_put(pool, def);
  if (def.attributes.size() > 1) return draw_batch_scatter(pool, def);
  const auto updates = pool.draw_live(DTypeClass::Float, 1, 3);
  if (!updates) return std::nullopt;
  const TensorType from = pool.type(*updates);
  const auto leading = pool.numbers().chance(0.8) ? size_t{1} : from.rank();
  const auto split = from.shape.begin() + static_cast<ptrdiff_t>(leading);
  const Shape index_shape(from.shape.begin(), split);
  Shape shape(split, from.shape.end());
  shape.insert(shape.begin(), pool.draw_extent());
  const int64_t rows = actual_sizes(shape, pool.extents())[0];
  const auto index = pool.indices(rows, &index_shape);
  return index ? pool.add(op_kind(def), {*index, *updates}, {{"type", TensorType{from.dtype, shape}}}) : std::nullopt;
}

/// A seed or a count as the program's caller would give it.
NodeId scalar_argument(NodePool& pool, double most) {
  const TensorType type{DType::I64, {}};
  return pool.argument(
      type, RefTensor{type, {}, {static_cast<double>(pool.numbers().integer(0, static_cast<int64_t>(most)))}});
}

std::optional<NodeId> draw_random(NodePool& pool, const OpDef& def) {
  const NodeId seed = scalar_argument(pool, 1e12), run = scalar_argument(pool, 1e5);
  const auto attrs = draw_attributes(pool, def, std::array{seed, run});
  return attrs ? pool.add(op_kind(def), {seed, run}, *attrs) : std::nullopt;
}

std::optional<NodeId> draw_composite(NodePool& pool, const OpDef& def) {
  if (def.attributes.size() == 0) return draw_elementwise(pool, def);
  if (def.operands.size() == 1) return draw_on_axes(pool, def);
  const auto a = pool.draw_live(DTypeClass::Float, 1, 3);  // concat: the same shape but for one axis
  if (!a) return std::nullopt;
  const auto attrs = draw_attributes(pool, def, std::array{*a});
  if (!attrs) return std::nullopt;
  for (int attempt = 0; attempt < 6; ++attempt) {
    const NodeId b = attempt == 0 && pool.numbers().chance(0.3) ? *a : pool.numbers().pick(pool.live());
    if (const auto joined = pool.add(op_kind(def), {*a, b}, *attrs)) return joined;
  }
  return std::nullopt;
}

std::optional<NodeId> draw_source(NodePool& pool, const OpDef& def) {
  const auto attrs = draw_attributes(pool, def, {});
  return attrs ? pool.add(op_kind(def), {}, *attrs) : std::nullopt;
}

std::optional<NodeId> draw_kind(NodePool& pool, const OpDef& def) {
  switch (def.kind) {
    case Kind::Argument:
    case Kind::Part:  // comes with its scan
    case Kind::Meta: return std::nullopt;
    case Kind::Scan: return draw_scan(pool);
    case Kind::Constant:
    case Kind::Index:
    case Kind::Extent: return draw_source(pool, def);
    case Kind::Elementwise: return draw_elementwise(pool, def);
    case Kind::Reduce: return draw_on_axes(pool, def);
    case Kind::Contract: return draw_contraction(pool, def);
    case Kind::Move: return draw_move(pool, def);
    case Kind::Gather: return draw_gather(pool, def);
    case Kind::Scatter: return draw_scatter(pool, def);
    case Kind::Random: return draw_random(pool, def);
    case Kind::Composite: return draw_composite(pool, def);
  }
  return std::nullopt;
}

/// The op once more, of the same operands and type with other attributes: what takes two values for equal has to look
/// at all of them.
void draw_twin(NodePool& pool, NodeId made) {
  constexpr int kDraws = 4;
  const Node node = pool.graph()[made];
  const OpDef& def = op_def(node);
  const bool is_own = def.kind == Kind::Part || def.kind == Kind::Scan || def.kind == Kind::Random;
  if (is_own || node.inputs.empty() || def.attributes.size() == 0) return;
  const std::vector<NodeId> operands(node.inputs.begin(), node.inputs.end());
  for (int draw = 0; draw < kDraws; ++draw) {
    const auto attrs = draw_attributes(pool, def, operands);
    if (!attrs || *attrs == node.attrs) continue;
    const auto type = infer_type(pool.graph(), node.op, operands, *attrs);
    if (!type || *type != node.type) continue;
    if (const auto twin = pool.add(node.op, operands, *attrs)) pool.keep(*twin);
    return;
  }
}

}  // namespace

bool can_draw(const OpDef& def) {
  if (def.kind == Kind::Argument || def.kind == Kind::Part || def.kind == Kind::Meta) return false;
  return def.kind == Kind::Scan || knows_attributes(def);
}

std::optional<NodeId> draw_op(NodePool& pool, const OpDef& def) {
  if (!can_draw(def)) return std::nullopt;
  const auto made = draw_kind(pool, def);
  if (made && pool.numbers().chance(kTwins)) draw_twin(pool, *made);
  if (!made || !is_half(pool.type(*made).dtype) || !pool.numbers().chance(kWidened)) return made;
  pool.keep(*made);
  return pool.to_float(*made);
}

}  // namespace smelt::fuzz
