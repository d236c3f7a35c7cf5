#include "fuzz/draw_scan.h"

#include <fmt/format.h>

#include <array>
#include <numeric>

#include "ir/scan.h"

namespace smelt::fuzz {
namespace {

constexpr std::array kUnary = {OpKind::Tanh, OpKind::Sigmoid, OpKind::Sin, OpKind::Neg, OpKind::Softplus};
constexpr std::array kBinary = {OpKind::Add, OpKind::Sub, OpKind::Mul};
constexpr double kInnerLoops = 0.25;     // of bodies
constexpr double kCounterCarries = 0.3;  // of bodies: a whole-number carry
constexpr double kStops = 0.4;           // of these: the loop stops by it
constexpr double kCarryProducts = 0.4;   // of bodies whose carry has an axis

std::vector<int64_t> all_axes(size_t rank) {
  std::vector<int64_t> axes(rank);
  std::iota(axes.begin(), axes.end(), int64_t{0});
  return axes;
}

class ScanDraw {
 public:
  explicit ScanDraw(NodePool& pool) : pool_(pool), numbers_(pool.numbers()), build_(body_) {
    body_.name = "step";
    body_.symbols = pool.graph().symbols;
  }

  std::optional<NodeId> run() {
    const auto start = pool_.draw_live(DTypeClass::Float, 0, 2);
    if (!start) return std::nullopt;
    shape_ = pool_.type(*start).shape;
    add(ArgRole::Carry, *start, pool_.type(*start));
    if (numbers_.chance(kCounterCarries)) {
      const TensorType type{DType::I32, {}};
      counter_ = add(ArgRole::Carry, pool_.constant(0, type), type);
      if (numbers_.chance(kStops)) over_ = add(ArgRole::Carry, pool_.constant(0, type), type);
    }
    if (!add_slices()) steps_ = Extent(numbers_.integer(1, 5));
    add_wholes();
    for (const NodeId argument : floats_) values_.push_back(like_carry(argument));
    if (counter_.valid()) {
      const NodeId count = build_.cast(counter_, pool_.dtype());
      values_.push_back(like_carry(build_.mul(count, build_.like(count, 0.1))));
    }
    if (weight_.valid()) values_.push_back(product());
    if (numbers_.chance(kInnerLoops)) add_inner_loop();
    for (int64_t k = numbers_.integer(1, 5); k > 0; --k) values_.push_back(combination());
    add_results();
    return pool_.add_scan(std::move(body_), std::move(inputs_), steps_, numbers_.chance(0.4), over_.valid() ? 2 : -1);
  }

 private:
  NodeId add(ArgRole role, NodeId operand, const TensorType& type) {
    inputs_.push_back(operand);
    const NodeId argument = build_.argument(
        {fmt::format("a{}", inputs_.size()), role, role == ArgRole::Carry ? num_carries_++ : -1, {}}, type);
    if (is_float(type.dtype)) floats_.push_back(argument);
    return argument;
  }

  bool add_slices() {
    const auto first = pool_.draw_live(DTypeClass::Float, 1, 3);
    if (!first || !numbers_.chance(0.9)) return false;
    steps_ = pool_.type(*first).shape[0];
    add_slice(*first);
    const auto second = pool_.draw_live(DTypeClass::Float, 1, 3);
    if (second && pool_.type(*second).shape[0] == steps_) add_slice(*second);
    return true;
  }
  void add_slice(NodeId sequence) {
    const TensorType& type = pool_.type(sequence);
    slices_.push_back(add(ArgRole::Slice, sequence, {type.dtype, Shape(type.shape.begin() + 1, type.shape.end())}));
  }

  void add_wholes() {
    const auto whole = pool_.draw_live(DTypeClass::Float, 0, 2);
    if (whole && numbers_.chance(0.6)) add(ArgRole::Whole, *whole, pool_.type(*whole));
    if (shape_.empty() || !shape_.back().is_static() || !numbers_.chance(kCarryProducts)) return;
    const TensorType type{pool_.dtype(), {shape_.back(), shape_.back()}};
    if (num_elements(type.shape).value_or(kMaxElements) > kMaxElements / 2) return;
    weight_ = add(ArgRole::Whole, pool_.argument(type), type);
    floats_.pop_back();
  }

  /// x where it has the carry's shape, else its bent sum everywhere.
  NodeId like_carry(NodeId x) {
    if (build_.type(x).shape == shape_) return x;
    const NodeId sum = build_.make(OpKind::Tanh, {build_.reduce_sum(x, all_axes(build_.type(x).rank()))});
    return build_.broadcast(sum, shape_, {});
  }

  /// carry times a matrix, made small.
  NodeId product() {
    const auto rank = static_cast<int32_t>(shape_.size());
    IndexFormula formula{rank, {{}, {}}, Shape(shape_.size() + 1, unstated())};
    for (int32_t axis = 0; axis + 1 < rank; ++axis) formula.operands[0].axes.push_back(Affine::of(axis));
    formula.operands[0].axes.push_back(Affine::of(rank));
    formula.operands[1].axes = {Affine::of(rank), Affine::of(rank - 1)};
    if (numbers_.chance(0.5)) std::swap(formula.operands[1].axes[0], formula.operands[1].axes[1]);
    const NodeId x = numbers_.pick(values_);
    const NodeId y = build_.contract(build_.make(OpKind::Tanh, {x}), weight_, std::move(formula));
    return build_.mul(y, build_.like(y, 0.1));
  }

  /// Over the first axis of a slice: c <- c / 2 + sin(x) w.
  void add_inner_loop() {
    for (const NodeId slice : slices_) {
      if (build_.type(slice).rank() == 0) continue;
      const TensorType& type = build_.type(slice);
      const Extent steps = type.shape[0];
      const TensorType element{type.dtype, Shape(type.shape.begin() + 1, type.shape.end())};
      Graph inner;
      inner.name = "inner";
      inner.symbols = body_.symbols;
      Builder b(inner);
      const NodeId c = b.argument({"c", ArgRole::Carry, 0, {}}, element);
      const NodeId x = b.argument({"x", ArgRole::Slice, -1, {}}, element);
      const NodeId w = b.argument({"w", ArgRole::Whole, -1, {}}, {type.dtype, {}});
      const NodeId weight = b.broadcast(w, element.shape, {});
      const NodeId bent = b.mul(b.make(OpKind::Sin, {x}), weight);
      const NodeId next = b.add(b.mul(c, b.like(c, 0.5)), bent);
      inner.results = {{"c", ResultRole::Carry, 0, next}, {"y", ResultRole::Stacked, -1, b.make(OpKind::Tanh, {next})}};
      const NodeId w_sum = build_.make(
          OpKind::Tanh, {build_.reduce_sum(values_.front(), all_axes(build_.type(values_.front()).rank()))});
      const NodeId scan = make_scan(build_, std::move(inner), {build_.constant(0.2, element), slice, w_sum}, steps,
                                    numbers_.chance(0.5));
      for (size_t k = 0; k < 2; ++k) values_.push_back(like_carry(make_part(build_, scan, k)));
      return;
    }
  }

  NodeId combination() {
    const NodeId a = numbers_.pick(values_), b = numbers_.pick(values_);
    if (numbers_.chance(0.4)) return build_.make(numbers_.pick(kUnary), {a});
    return build_.make(OpKind::Tanh, {build_.make(numbers_.pick(kBinary), {a, b})});
  }

  void add_results() {
    const NodeId carry = body_.arguments[0].node;
    const NodeId bent = build_.make(OpKind::Tanh, {numbers_.pick(values_)});
    const NodeId added = build_.mul(bent, build_.like(bent, 0.5));
    const NodeId next = build_.add(build_.mul(carry, build_.like(carry, 0.4)), added);
    body_.results.push_back({"c", ResultRole::Carry, 0, next});
    if (counter_.valid())
      body_.results.push_back({"n", ResultRole::Carry, 1, build_.add(counter_, build_.like(counter_, 1))});
    if (over_.valid()) {
      const NodeId last = build_.like(counter_, static_cast<double>(numbers_.integer(0, 4)));
      const NodeId is_last = build_.cast(build_.make(OpKind::Ge, {counter_, last}), DType::I32);
      return body_.results.push_back({"over", ResultRole::Carry, 2, is_last});
    }
    for (int64_t k = numbers_.integer(0, 2); k > 0; --k)
      body_.results.push_back({"y", ResultRole::Stacked, -1, numbers_.chance(0.3) ? next : numbers_.pick(values_)});
  }

  NodePool& pool_;
  Numbers& numbers_;
  Graph body_;
  Builder build_;
  Shape shape_;  // of the float carry
  Extent steps_;
  std::vector<NodeId> inputs_, floats_, slices_, values_;
  NodeId counter_, over_, weight_;
  int32_t num_carries_ = 0;
};

}  // namespace

std::optional<NodeId> draw_scan(NodePool& pool) { return ScanDraw(pool).run(); }

}  // namespace smelt::fuzz
