#include "fuzz/random_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "compiler/graph/differentiate.h"
#include "fuzz/draw_half.h"
#include "fuzz/draw_op.h"
#include "fuzz/draw_picture.h"
#include "fuzz/draw_sequence.h"
#include "fuzz/error_bound.h"
#include "fuzz/node_pool.h"

namespace smelt::fuzz {
namespace {

struct KindWeight {
  Kind kind;
  int weight;
};
constexpr std::array kWeights = {
    KindWeight{Kind::Elementwise, 44}, KindWeight{Kind::Reduce, 12},    KindWeight{Kind::Contract, 12},
    KindWeight{Kind::Move, 16},        KindWeight{Kind::Gather, 4},     KindWeight{Kind::Scatter, 3},
    KindWeight{Kind::Random, 2},       KindWeight{Kind::Composite, 14}, KindWeight{Kind::Constant, 1},
    KindWeight{Kind::Index, 2},        KindWeight{Kind::Extent, 1},     KindWeight{Kind::Scan, 4}};
constexpr double kHalfOps =
    0.25;                     // of the ops of a graph with halves: a value that is rounded to one, or a product of such
constexpr int kMaxTries = 8;  // for one op
constexpr int kMaxDraws = 20;           // for one graph
constexpr double kTrivialShare = 0.65;  // a result with more of one value than this tests little
constexpr double kLargestResult = 1e4;
constexpr double kKeptAnyway = 0.1;  // of the results that say little

std::vector<const OpDef*> ops_of(Kind kind) {
  std::vector<const OpDef*> ops;
  for (const OpDef& def : all_ops()) {
    if (def.kind == kind && can_draw(def)) ops.push_back(&def);
  }
  return ops;
}

class Maker {
 public:
  Maker(uint64_t seed, const GraphOptions& options) : options_(options), pool_(seed, options.dtype, options.halves) {
    for (const KindWeight& row : kWeights) total_ += row.weight;
  }

  /// Nothing when each result is trivial.
  std::optional<RandomGraph> make() {
    Numbers& numbers = pool_.numbers();
    for (int64_t k = numbers.integer(2, 4); k > 0; --k)
      pool_.keep(pool_.argument({options_.dtype, pool_.draw_shape(3)}));
    if (pool_.halves() != Halves::None && numbers.chance(0.5))
      pool_.keep(pool_.argument({pool_.draw_half_dtype(), pool_.draw_shape(3)}));
    add_subject();
    const int64_t num_ops = options_.num_ops > 0 ? options_.num_ops : draw_size();
    for (int64_t op = 0; op < num_ops; ++op) add_op();
    RandomGraph made{pool_.graph(), pool_.arguments(), pool_.extents()};
    add_values(made.graph);
    if (numbers.chance(options_.gradient))
      add_gradients(made.graph, numbers.chance(options_.second_order / options_.gradient));
    if (!drop_trivial(made)) return std::nullopt;
    return made;
  }

 private:
  /// Small graphs more often: they are quick, and a failure in one needs no reducing.
  int64_t draw_size() {
    Numbers& numbers = pool_.numbers();
    return std::min(numbers.integer(1, 40), numbers.integer(1, 40));
  }

  Kind draw_kind() {
    int64_t at = pool_.numbers().integer(0, total_ - 1);
    for (const KindWeight& row : kWeights) {
      if (at < row.weight) return row.kind;
      at -= row.weight;
    }
    return Kind::Elementwise;
  }

  std::optional<NodeId> draw_subject() {
    if (options_.subject == Subject::Pictures) return draw_picture(pool_);
    return pool_.numbers().chance(0.5) ? draw_sequence(pool_) : draw_op(pool_, op_def(OpKind::Scan));
  }

  void add_subject() {
    if (options_.subject == Subject::Any) return;
    for (int64_t wanted = pool_.numbers().integer(1, 2), attempt = 0; wanted > 0 && attempt < kMaxTries; ++attempt) {
      const auto drawn = draw_subject();
      if (!drawn) continue;
      pool_.keep(*drawn);
      subject_ = *drawn;
      --wanted;
    }
  }

  void add_op() {
    if (pool_.halves() != Halves::None && pool_.numbers().chance(kHalfOps) && draw_through_half(pool_)) return;
    if (options_.sequences > 0 && pool_.numbers().chance(options_.sequences)) {
      if (const auto drawn = draw_sequence(pool_)) return pool_.keep(*drawn);
    }
    if (options_.pictures > 0 && pool_.numbers().chance(options_.pictures)) {
      if (const auto drawn = draw_picture(pool_)) return pool_.keep(*drawn);
    }
    for (int attempt = 0; attempt < kMaxTries; ++attempt) {
      const std::vector<const OpDef*> ops = ops_of(draw_kind());
      if (ops.empty()) continue;
      const auto drawn = draw_op(pool_, *pool_.numbers().pick(ops));
      if (!drawn) continue;
      pool_.keep(*drawn);
      return;
    }
  }

  void add_values(Graph& graph) {
    Numbers& numbers = pool_.numbers();
    Builder builder(graph);
    std::vector<NodeId> chosen;
    if (subject_.valid()) {
      chosen.push_back(subject_);
      builder.result({"y0", ResultRole::Value, -1, subject_});
    }
    for (int64_t k = numbers.integer(1, 4); k > 0; --k) {
      const auto id =
          numbers.chance(0.85) ? pool_.draw_live(DTypeClass::Float) : std::optional(numbers.pick(pool_.live()));
      if (!id || std::ranges::find(chosen, *id) != chosen.end() || graph[*id].op == OpKind::Argument) continue;
      chosen.push_back(*id);
      builder.result({fmt::format("y{}", graph.results.size()), ResultRole::Value, -1, *id});
    }
  }

  NodeId sum_all(Builder& builder, NodeId x) {
    std::vector<int64_t> axes;
    for (size_t axis = 0; axis < builder.type(x).rank(); ++axis) axes.push_back(static_cast<int64_t>(axis));
    return axes.empty() ? x : builder.reduce_sum(x, axes);
  }

  /// A scalar of one or two late values.
  NodeId loss_of(Builder& builder, const std::vector<NodeId>& values, bool bent) {
    NodeId loss;
    for (const NodeId value : values) {
      const bool bend = bent || pool_.numbers().chance(0.5);
      const NodeId term = sum_all(builder, bend ? builder.make(OpKind::Tanh, {value}) : value);
      loss = loss.valid() ? builder.add(loss, term) : term;
    }
    return loss;
  }

  /// The floats that `y` was computed from without `stop` in between, through loops as well, whose node is no float.
  std::vector<NodeId> ancestors(const Graph& graph, NodeId y) const {
    std::vector<bool> below(y.index + 1);
    below[y.index] = true;
    std::vector<NodeId> found;
    for (uint32_t i = y.index + 1; i-- > 0;) {
      const Node& node = graph.nodes[i];
      const bool is_number = node.type.dtype == options_.dtype;
      if (!below[i] || (!is_number && node.op != OpKind::Scan)) continue;
      if (is_number && i != y.index && i < pool_.graph().size()) found.push_back({i});
      if (node.op == OpKind::Stop || node.op == OpKind::Grad) continue;
      for (const NodeId input : node.inputs) below[input.index] = true;
    }
    return found;
  }

  /// Up to 4 values to differentiate by: arguments, and sometimes what was computed from them.
  std::vector<NodeId> draw_variables(const Graph& graph, NodeId loss) {
    std::vector<NodeId> chosen;
    for (const NodeId id : ancestors(graph, loss)) {
      const bool argument = graph[id].op == OpKind::Argument;
      if (pool_.numbers().chance(argument ? 0.8 : 0.06) && chosen.size() < 4) chosen.push_back(id);
    }
    return chosen;
  }

  void add_gradients(Graph& graph, bool second) {
    Numbers& numbers = pool_.numbers();
    Builder builder(graph);
    std::vector<NodeId> values, wrt;
    NodeId loss;
    for (int attempt = 0; attempt < 4 && wrt.empty(); ++attempt) {
      values.clear();
      for (int64_t k = numbers.integer(1, 2); k > 0; --k) values.push_back(*pool_.draw_live(DTypeClass::Float));
      loss = loss_of(builder, values, second);
      wrt = draw_variables(graph, loss);
    }
    std::vector<NodeId> gradients;
    for (const NodeId x : wrt) gradients.push_back(builder.make(OpKind::Grad, {loss, x}));
    for (const NodeId gradient : gradients)
      builder.result({fmt::format("g{}", graph.results.size()), ResultRole::Value, -1, gradient});
    if (!second || gradients.empty()) return;
    const NodeId first = numbers.pick(gradients);
    const NodeId norm =
        sum_all(builder, numbers.chance(0.5) ? builder.mul(first, first) : builder.make(OpKind::Tanh, {first}));
    for (const NodeId x : wrt) {
      const NodeId again = builder.make(OpKind::Grad, {norm, x});
      builder.result({fmt::format("h{}", graph.results.size()), ResultRole::Value, -1, again});
    }
  }

  /// Keeps results that say something: moderate, more than one value, moved by the arguments and not by rounding alone.
  /// Nine of ten others are left out, so that the share of cases that are not trusted stays small.
  bool drop_trivial(RandomGraph& made) {
    const Graph plain = differentiate(made.graph);
    const Arithmetic arithmetic{.dtype = options_.dtype, .halves = half_rounding(made.graph)};
    const auto expected = expected_results(plain, made.arguments, made.extents, arithmetic);
    if (!expected) return false;
    std::vector<RefTensor> moved = made.arguments;
    Numbers numbers(7);
    for (RefTensor& argument : moved) {
      for (double& value : argument.values) value += is_float(argument.type.dtype) ? numbers.uniform(-0.5, 0.5) : 1;
    }
    const auto others = evaluate(plain, moved, made.extents, {.rounding = Rounding::Halves});
    std::vector<Output> kept;
    for (size_t r = 0; r < expected->exact.size(); ++r) {
      const RefTensor& value = expected->exact[r];
      const bool moderate = std::ranges::all_of(value.values, [](double v) { return std::fabs(v) <= kLargestResult; });
      const bool varied = value.values.size() < 4 || share_of_commonest(value) <= kTrivialShare;
      const bool moves = !others || (*others)[r].values != value.values;
      const bool telling = varied && moves && !ill_conditioned(*expected, r);
      if (moderate && (telling || (moves && numbers.chance(kKeptAnyway)))) kept.push_back(made.graph.results[r]);
    }
    made.dropped = static_cast<int>(made.graph.results.size() - kept.size());
    made.graph.results = std::move(kept);
    return !made.graph.results.empty();
  }

  const GraphOptions& options_;
  NodePool pool_;
  NodeId subject_ = {};  // the last of what the graph has for certain
  int64_t total_ = 0;
};

}  // namespace

double share_of_commonest(const RefTensor& tensor) {
  if (tensor.values.empty()) return 1;
  std::map<double, size_t> counts;
  size_t most = 0;
  for (const double value : tensor.values) most = std::max(most, ++counts[value]);
  return static_cast<double>(most) / static_cast<double>(tensor.values.size());
}

RandomGraph random_graph(uint64_t seed, const GraphOptions& options) {
  Numbers seeds(seed);
  for (int attempt = 1;; ++attempt) {
    GraphOptions chosen = options;
    if (attempt > kMaxDraws) chosen.num_ops = 40;
    std::optional<RandomGraph> made = Maker(attempt == 1 ? seed : seeds.next(), chosen).make();
    if (!made) continue;
    made->graph.name = fmt::format("random_{}", seed);
    made->attempts = attempt;
    return *std::move(made);
  }
}

}  // namespace smelt::fuzz
