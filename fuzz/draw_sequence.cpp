#include "fuzz/draw_sequence.h"

#include <array>
#include <limits>

#include "ir/scan.h"

namespace smelt::fuzz {
namespace {

constexpr double kAhead = 0.15;  // of masks and windows: they read a position that is not there yet
constexpr double kLate = 0.3;  // of loops: the model reads the sequence one position late, and the step writes its own
constexpr std::array kBends = {OpKind::Tanh, OpKind::Sigmoid, OpKind::Sin, OpKind::Neg, OpKind::Softplus};

/// Values of the model are [N, C], whatever the order of the carry's axes is.
class SequenceDraw {
 public:
  explicit SequenceDraw(NodePool& pool)
      : pool_(pool),
        numbers_(pool.numbers()),
        build_(body_),
        length_(numbers_.integer(2, 6)),
        channels_(numbers_.integer(1, 4)),
        late_(numbers_.chance(kLate)),
        turned_(numbers_.chance(0.4)) {
    body_.name = "step";
    body_.symbols = pool.graph().symbols;
  }

  std::optional<NodeId> run() {
    const DType dtype = pool_.dtype();
    const Shape shape = turned_ ? Shape{Extent(channels_), Extent(length_)} : whole().shape;
    const Extent steps(late_ ? length_ : length_ - 1);
    const std::optional<NodeId> counter =
        pool_.add(OpKind::Index, {}, {{"axis", int64_t{0}}, {"type", TensorType{DType::I32, {steps}}}});
    if (!counter) return std::nullopt;
    x_ = add(ArgRole::Carry, pool_.argument({dtype, shape}), {dtype, shape});
    step_ = add(ArgRole::Slice, *counter, {DType::I32, {}});
    const TensorType square{dtype, {Extent(channels_), Extent(channels_)}},
        taps{dtype, {Extent(numbers_.integer(1, 3))}};
    matrix_ = add(ArgRole::Whole, pool_.argument(square), square);
    taps_ = add(ArgRole::Whole, pool_.argument(taps), taps);
    NodeId first = turned_ ? build_.transpose(x_, {1, 0}) : x_;
    if (late_) first = moved(first, -1);
    values_ = {first};
    for (int64_t k = numbers_.integer(1, 5); k > 0; --k) values_.push_back(damped(layer()));
    add_results();
    return pool_.add_scan(std::move(body_), std::move(inputs_), steps, false);
  }

 private:
  TensorType whole() const { return {pool_.dtype(), {Extent(length_), Extent(channels_)}}; }

  NodeId add(ArgRole role, NodeId operand, const TensorType& type) {
    inputs_.push_back(operand);
    return build_.argument({"a", role, role == ArgRole::Carry ? 0 : -1, {}}, type);
  }

  NodeId damped(NodeId x) {
    const NodeId bent = build_.make(OpKind::Tanh, {x});
    return build_.mul(bent, build_.like(bent, 0.7));
  }

  NodeId moved(NodeId x, int64_t by) {
    IndexFormula formula{2, {{{Affine::of(0) + by, Affine::of(1)}, true}}, whole().shape};
    return build_.read(x, std::move(formula));
  }

  NodeId layer() {
    const NodeId x = numbers_.pick(values_);
    switch (numbers_.integer(0, 6)) {
      case 0: return build_.make(numbers_.pick(kBends), {x});
      case 1: return build_.add(x, numbers_.pick(values_));
      case 2: return product(x, matrix_, {2, {{{Affine::of(0), Affine::of(2)}}, {{Affine::of(2), Affine::of(1)}}}, {}});
      case 3: return window(x);
      case 4: return attention(x);
      case 5: return loop(x);
      default: {
        const NodeId position = build_.cast(build_.index({DType::I32, whole().shape}, 0), pool_.dtype());
        return build_.mul(x, build_.mul(position, build_.like(position, 0.2)));
      }
    }
  }

  NodeId product(NodeId a, NodeId b, IndexFormula formula) {
    formula.extents.assign(3, unstated());
    return build_.contract(a, b, std::move(formula));
  }

  NodeId window(NodeId x) {
    const int64_t apart = numbers_.integer(1, 2), taps = build_.type(taps_).shape[0].bound;
    const int64_t ahead = numbers_.chance(kAhead) ? 1 : 0;
    const Affine read = Affine::of(0) + Affine::of(2, apart) + (ahead - apart * (taps - 1));
    IndexFormula formula{2, {{{read, Affine::of(1)}, true}, {{Affine::of(2)}}}, {}};
    formula.extents = {Extent(length_), Extent(channels_), Extent(taps)};
    return build_.contract(x, taps_, std::move(formula));
  }

  /// Scores against all positions, of which a mask leaves those so far: a softmax, or the scores themselves.
  NodeId attention(NodeId x) {
    const NodeId keys = numbers_.pick(values_);
    const NodeId score =
        product(x, keys, {2, {{{Affine::of(0), Affine::of(2)}}, {{Affine::of(1), Affine::of(2)}}}, {}});
    const TensorType numbers{DType::I32, build_.type(score).shape};
    const OpKind compare = numbers_.chance(kAhead) ? OpKind::Ge : OpKind::Le;
    const NodeId seen = build_.make(compare, {build_.index(numbers, 1), build_.index(numbers, 0)});
    NodeId weights{};
    if (numbers_.chance(0.6)) {
      const NodeId z = build_.select(seen, score, build_.like(score, -std::numeric_limits<double>::infinity()));
      weights = build_.make(OpKind::Softmax, {z}, {{"axes", std::vector<int64_t>{1}}});
    } else {
      weights = build_.select(seen, score, build_.like(score, 0));
    }
    return product(weights, numbers_.pick(values_),
                   {2, {{{Affine::of(0), Affine::of(2)}}, {{Affine::of(2), Affine::of(1)}}}, {}});
  }

  /// c <- c / 2 + x[t], each c.
  NodeId loop(NodeId x) {
    Graph inner;
    inner.name = "inner";
    inner.symbols = body_.symbols;
    Builder b(inner);
    const TensorType row{pool_.dtype(), {Extent(channels_)}};
    const NodeId c = b.argument({"c", ArgRole::Carry, 0, {}}, row), at = b.argument({"x", ArgRole::Slice, -1, {}}, row);
    const NodeId next = b.add(b.mul(c, b.like(c, 0.5)), at);
    inner.results = {{"c", ResultRole::Carry, 0, next}, {"y", ResultRole::Stacked, -1, next}};
    const NodeId scan =
        make_scan(build_, std::move(inner), {build_.constant(0.3, row), x}, Extent(length_), numbers_.chance(kAhead));
    return make_part(build_, scan, 1);
  }

  void add_results() {
    const NodeId read = build_.make(OpKind::Gather, {values_.back(), step_});
    const Shape shape = build_.type(x_).shape;
    const int64_t axis = turned_ ? 1 : 0;
    const TensorType numbers{DType::I32, shape};
    const NodeId at = late_ ? step_ : build_.add(step_, build_.like(step_, 1));
    const NodeId is_here = build_.make(OpKind::Eq, {build_.index(numbers, axis), build_.broadcast(at, shape, {})});
    const NodeId next = build_.broadcast(build_.mul(read, build_.like(read, 0.8)), shape, {1 - axis});
    body_.results.push_back({"x", ResultRole::Carry, 0, build_.select(is_here, next, x_)});
    if (numbers_.chance(0.5)) body_.results.push_back({"y", ResultRole::Stacked, -1, read});
  }

  NodePool& pool_;
  Numbers& numbers_;
  Graph body_;
  Builder build_;
  const int64_t length_, channels_;
  const bool late_, turned_;
  std::vector<NodeId> inputs_, values_;
  NodeId x_, step_, matrix_, taps_;
};

}  // namespace

std::optional<NodeId> draw_sequence(NodePool& pool) { return SequenceDraw(pool).run(); }

}  // namespace smelt::fuzz
