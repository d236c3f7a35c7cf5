#include "tests/support/random_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ir/builder.h"
#include "ir/op.h"
#include "tests/support/op_samples.h"

namespace smelt::testing {
namespace {

constexpr std::array kUnary = {OpKind::Neg,      OpKind::Abs,  OpKind::Tanh, OpKind::Sigmoid,
                               OpKind::Softplus, OpKind::Sin,  OpKind::Cos,  OpKind::Square,
                               OpKind::Relu,     OpKind::Stop, OpKind::Sign, OpKind::Floor};
constexpr std::array kBinary = {OpKind::Add, OpKind::Sub, OpKind::Mul, OpKind::Max, OpKind::Min};
constexpr std::array kCompare = {OpKind::Lt, OpKind::Le, OpKind::Gt, OpKind::Ge, OpKind::Eq, OpKind::Ne};
constexpr std::array kNormalise = {OpKind::Softmax, OpKind::LogSoftmax};
constexpr std::array kReduce = {OpKind::ReduceSum, OpKind::ReduceMax, OpKind::ReduceMin, OpKind::LogSumExp};
constexpr std::array kConstants = {0.0, 1.0, -1.0, 2.0, 0.5, -0.3};

class Maker {
 public:
  Maker(uint64_t seed, DType dtype) : numbers_(seed), dtype_(dtype), builder_(made_.graph) {
    made_.graph.name = fmt::format("random_{}", seed);
    made_.graph.symbols = {{"B", 6}};
    made_.extents = {numbers_.integer(1, 6)};
  }

  RandomGraph make(int num_nodes) {
    const Extent batch(6, 0);
    for (const Shape& shape : {Shape{batch, 4}, Shape{4, 3}, Shape{batch}, Shape{3}, Shape{}})
      add_argument(shape);
    while (made_.graph.size() < static_cast<uint32_t>(num_nodes)) add_node();
    finish();
    return std::move(made_);
  }

 private:
  template <typename List>
  auto pick(const List& list) {
    return list[static_cast<size_t>(numbers_.integer(0, static_cast<int64_t>(std::size(list)) - 1))];
  }

  void add_argument(const Shape& shape) {
    const TensorType type{dtype_, shape};
    const std::string name = fmt::format("x{}", made_.arguments.size());
    live_.push_back(builder_.argument({name, ArgRole::Feed, -1, {}}, type));
    made_.arguments.push_back(numbers_.tensor(type, made_.extents));
  }

  const TensorType& type(NodeId id) const { return made_.graph.type(id); }
  int64_t random_axis(NodeId x) { return numbers_.integer(0, static_cast<int64_t>(type(x).rank()) - 1); }

  /// A value of the shape of x: a live one, or a broadcast of a smaller one, or a constant.
  NodeId like(NodeId x) {
    const Shape shape = type(x).shape;
    for (int attempt = 0; attempt < 6; ++attempt) {
      const NodeId other = pick(live_);
      if (type(other).shape == shape) return other;
      if (type(other).rank() == 0) return builder_.broadcast(other, shape, {});
      if (type(other).rank() == 1) {
        const auto axis = std::ranges::find(shape, type(other).shape[0]);
        if (axis != shape.end()) return builder_.broadcast(other, shape, {axis - shape.begin()});
      }
    }
    return builder_.like(x, pick(kConstants));
  }

  void add_node() {
    const NodeId x = pick(live_);
    const size_t rank = type(x).rank();
    switch (numbers_.integer(0, 13)) {
      case 0:
      case 1: return keep(builder_.make(pick(kUnary), {x}));
      case 2:
      case 3: return keep(bounded(builder_.make(pick(kBinary), {x, like(x)})));
      case 4: return keep(builder_.select(condition(x), like(x), x));
      case 5: {  // an argument bounded away from the pole
        const NodeId positive = builder_.add(builder_.make(OpKind::Softplus, {x}), builder_.like(x, 0.5));
        return keep(builder_.make(pick(std::array{OpKind::Log, OpKind::Sqrt, OpKind::Rsqrt}), {positive}));
      }
      case 6: {
        const NodeId y = like(x);
        const NodeId divisor = builder_.add(builder_.make(OpKind::Abs, {y}), builder_.like(y, 1));
        return keep(builder_.div(x, divisor));
      }
      case 7:
        if (rank > 0) keep(bounded(builder_.make(pick(kReduce), {x}, axes(random_axis(x)))));
        return;
      case 8:
        if (rank > 0) keep(builder_.make(pick(kNormalise), {x}, axes(static_cast<int64_t>(rank) - 1)));
        return;
      case 9:
        if (rank == 2) keep(builder_.transpose(x, {1, 0}));
        return;
      case 10: return contract(x);
      case 11: return slice_or_pad(x);
      case 12: return gather(x);
      default: return keep(builder_.exp(builder_.make(OpKind::Tanh, {x})));
    }
  }

  static Attributes axes(int64_t axis) { return {{"axes", std::vector<int64_t>{axis}}}; }

  NodeId condition(NodeId x) {
    const NodeId test = builder_.make(pick(kCompare), {x, like(x)});
    if (numbers_.integer(0, 2) == 0) return builder_.make(OpKind::Not, {test});
    if (numbers_.integer(0, 2) == 0)
      return builder_.make(OpKind::And, {test, builder_.constant(1, type(test))});
    return test;
  }

  /// Keeps magnitudes from growing with depth.
  NodeId bounded(NodeId x) { return numbers_.integer(0, 2) == 0 ? builder_.make(OpKind::Tanh, {x}) : x; }

  void contract(NodeId x) {
    if (type(x).rank() != 2) return;
    const NodeId y = pick(live_);
    if (type(y).rank() != 2) return;
    for (const std::string_view formula :
         {"[i,k] [k,j] -> [i,j]", "[k,i] [k,j] -> [i,j]", "[i,k] [j,k] -> [i,j]", "[i,k] [k,j] -> [j,i]"}) {
      if (const Result<NodeId> product =
              builder_.push(OpKind::Contract, {x, y}, {{"formula", std::string(formula)}})) {
        keep(builder_.make(OpKind::Tanh, {*product}));
        return;
      }
    }
  }

  void slice_or_pad(NodeId x) {
    const size_t rank = type(x).rank();
    if (rank == 0 || !type(x).shape.back().is_static()) return;
    std::vector<int64_t> low(rank), high(rank);
    if (numbers_.integer(0, 1) == 0) {
      low.back() = numbers_.integer(0, 2);
      high.back() = numbers_.integer(0, 2);
      keep(builder_.make(OpKind::Pad, {x}, {{"low", low}, {"high", high}}));
      return;
    }
    for (size_t axis = 0; axis < rank; ++axis) high[axis] = type(x).shape[axis].bound;
    low.back() = numbers_.integer(0, high.back() - 1);
    keep(builder_.make(OpKind::Slice, {x}, {{"starts", low}, {"limits", high}}));
  }

  /// Rows of x by a row-wise argmax, or summed into the rows of a new table.
  void gather(NodeId x) {
    if (type(x).rank() != 2 || type(x).shape[0].bound < type(x).shape[1].bound ||
        !type(x).shape[0].is_static())
      return;
    const NodeId index = builder_.make(OpKind::ArgMax, {x}, {{"axis", int64_t{1}}});
    if (numbers_.integer(0, 1) == 0) return keep(builder_.make(OpKind::Gather, {x, index}));
    keep(bounded(builder_.make(OpKind::ScatterAdd, {index, x}, {{"type", type(x)}})));
  }

  void keep(NodeId id) { live_.push_back(id); }

  void finish() {
    for (int k = 0; k < 3; ++k) {
      builder_.result(
          {fmt::format("y{}", k), ResultRole::Value, -1, live_[live_.size() - 1 - static_cast<size_t>(k)]});
    }
    if (numbers_.integer(0, 1) == 0) return;
    NodeId loss;
    for (size_t k = 0; k < 3; ++k) {
      const NodeId y = made_.graph.results[k].node;
      std::vector<int64_t> all;
      for (size_t axis = 0; axis < type(y).rank(); ++axis) all.push_back(static_cast<int64_t>(axis));
      const NodeId sum = builder_.reduce_sum(builder_.make(OpKind::Tanh, {y}), all);
      loss = loss.valid() ? builder_.add(loss, sum) : sum;
    }
    for (const Argument& argument : made_.graph.arguments) {
      const NodeId gradient = builder_.make(OpKind::Grad, {loss, argument.node});
      builder_.result({"g_" + argument.name, ResultRole::Value, -1, gradient});
    }
  }

  Numbers numbers_;
  DType dtype_;
  RandomGraph made_;
  Builder builder_;
  std::vector<NodeId> live_;
};

}  // namespace

RandomGraph random_graph(uint64_t seed, int num_nodes, DType dtype) {
  return Maker(seed, dtype).make(num_nodes);
}

}  // namespace smelt::testing
