#include "fuzz/rewrites.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>

#include "fuzz/numbers.h"
#include "ir/builder.h"
#include "ir/op.h"
#include "ir/rewrite.h"
#include "ir/support/check.h"
#include "ir/text.h"

namespace smelt::fuzz {
namespace {

using Rewritten = std::optional<NodeId>;

/// One way to write a value differently.
struct Rewrite {
  std::string_view name;
  bool exact;  // each element keeps its bits
  /// The node that stands for `id` in a copy under construction, or nothing where the rewrite does not apply.
  Rewritten (*apply)(Builder& builder, NodeId id, Numbers& numbers);
};

bool is_number(Builder& b, NodeId x) { return b.type(x).dtype != DType::Bool; }

/// A static axis of at least two elements.
std::optional<size_t> divisible_axis(const Shape& shape, Numbers& numbers) {
  std::vector<size_t> axes;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis].is_static() && shape[axis].bound >= 2) axes.push_back(axis);
  }
  return axes.empty() ? std::nullopt : std::optional(numbers.pick(axes));
}

NodeId part(Builder& b, NodeId x, size_t axis, int64_t from, int64_t to) {
  std::vector<int64_t> starts(b.type(x).rank(), 0), limits;
  for (const Extent& extent : b.type(x).shape) limits.push_back(extent.bound);
  starts[axis] = from;
  limits[axis] = to;
  return b.make(OpKind::Slice, {x}, {{"starts", starts}, {"limits", limits}});
}

Rewritten times_one(Builder& b, NodeId x, Numbers&) {
  return is_number(b, x) ? Rewritten(b.mul(x, b.like(x, 1))) : std::nullopt;
}
Rewritten minus_zero(Builder& b, NodeId x, Numbers&) {
  return is_number(b, x) ? Rewritten(b.sub(x, b.like(x, 0))) : std::nullopt;
}
Rewritten two_negations(Builder& b, NodeId x, Numbers&) {
  return is_number(b, x) ? Rewritten(b.neg(b.neg(x))) : std::nullopt;
}

Rewritten commuted(Builder& b, NodeId x, Numbers&) {
  const Node node = b.graph()[x];
  if (node.op != OpKind::Add && node.op != OpKind::Mul) return std::nullopt;
  return b.make(node.op, {node.inputs[1], node.inputs[0]});
}

Rewritten transposed_twice(Builder& b, NodeId x, Numbers&) {
  std::vector<int64_t> around;
  for (size_t axis = b.type(x).rank(); axis-- > 0;) around.push_back(static_cast<int64_t>(axis));
  if (around.size() < 2) return std::nullopt;
  return b.transpose(b.transpose(x, around), around);
}

Rewritten reshaped_twice(Builder& b, NodeId x, Numbers& numbers) {
  const Shape shape = b.type(x).shape;
  Shape longer = shape;
  longer.insert(longer.begin() + numbers.integer(0, static_cast<int64_t>(shape.size())), Extent(1));
  return b.reshape(b.reshape(x, longer), shape);
}

Rewritten split_and_joined(Builder& b, NodeId x, Numbers& numbers) {
  const auto axis = divisible_axis(b.type(x).shape, numbers);
  if (!axis) return std::nullopt;
  const int64_t size = b.type(x).shape[*axis].bound, at = numbers.integer(1, size - 1);
  return b.make(OpKind::Concat, {part(b, x, *axis, 0, at), part(b, x, *axis, at, size)},
                {{"axis", static_cast<int64_t>(*axis)}});
}

Rewritten selected(Builder& b, NodeId x, Numbers& numbers) {
  const NodeId yes = b.constant(1, {DType::Bool, b.type(x).shape});
  const NodeId zero = b.like(x, 0);
  return numbers.chance(0.5) ? b.select(yes, x, zero) : b.select(b.make(OpKind::Not, {yes}), zero, x);
}

Rewritten dead_code_beside(Builder& b, NodeId x, Numbers&) {
  b.select(b.constant(1, {DType::Bool, b.type(x).shape}), x, x);
  return x;
}

/// `merge_equal_nodes` has to find that both are one.
Rewritten computed_again(Builder& b, NodeId x, Numbers& numbers) {
  const Node node = b.graph()[x];
  const Kind kind = op_def(node).kind;
  if (kind == Kind::Argument || kind == Kind::Scan || kind == Kind::Meta) return std::nullopt;
  const NodeId twin = b.make(node.op, node.inputs, node.attrs), yes = b.constant(1, {DType::Bool, node.type.shape});
  return numbers.chance(0.5) ? b.select(yes, twin, x) : b.select(yes, x, twin);
}

Rewritten sum_in_two(Builder& b, NodeId x, Numbers& numbers) {
  const Node node = b.graph()[x];
  if (node.op != OpKind::ReduceSum) return std::nullopt;
  const std::vector<int64_t> axes = node.attrs.integers("axes");
  const NodeId input = node.inputs[0];
  const auto axis = static_cast<size_t>(numbers.pick(axes));
  const Extent extent = b.type(input).shape[axis];
  if (!extent.is_static() || extent.bound < 2) return std::nullopt;
  const int64_t at = numbers.integer(1, extent.bound - 1);
  const NodeId rest = b.reduce_sum(part(b, input, axis, at, extent.bound), axes);
  return b.add(b.reduce_sum(part(b, input, axis, 0, at), axes), rest);
}

Rewritten product_in_blocks(Builder& b, NodeId x, Numbers& numbers) {
  const Node node = b.graph()[x];
  if (node.op != OpKind::Contract || node.inputs.size() != 2) return std::nullopt;
  IndexFormula formula = node.attrs.formula("formula");
  const std::array shapes{b.type(node.inputs[0]).shape, b.type(node.inputs[1]).shape};
  if (formula.num_indices() == formula.rank || !reads_whole_axes(formula, shapes)) return std::nullopt;
  const auto summed = static_cast<int32_t>(numbers.integer(formula.rank, formula.num_indices() - 1));
  const auto i = static_cast<size_t>(formula.operands[0].plain_axis_of(summed)),
             j = static_cast<size_t>(formula.operands[1].plain_axis_of(summed));
  formula.extents[static_cast<size_t>(summed)] = unstated();
  const Extent extent = b.type(node.inputs[0]).shape[i];
  if (!extent.is_static() || extent.bound < 2) return std::nullopt;
  const int64_t at = numbers.integer(1, extent.bound - 1);
  const auto block = [&](int64_t from, int64_t to) {
    return b.contract(part(b, node.inputs[0], i, from, to), part(b, node.inputs[1], j, from, to), formula);
  };
  return b.add(block(0, at), block(at, extent.bound));
}

/// op(x) as another formula of the same composite.
template <OpKind op, auto other>
Rewritten other_form(Builder& b, NodeId x, Numbers&) {
  const Node node = b.graph()[x];
  if (node.op != op) return std::nullopt;
  return other(b, node.inputs[0], node.attrs);
}
NodeId as_log_of_softmax(Builder& b, NodeId x, const Attributes& attrs) {
  return b.log(b.make(OpKind::Softmax, {x}, attrs));
}
NodeId as_exp_of_log_softmax(Builder& b, NodeId x, const Attributes& attrs) {
  return b.exp(b.make(OpKind::LogSoftmax, {x}, attrs));
}
NodeId as_log_of_sum(Builder& b, NodeId x, const Attributes& attrs) {
  return b.log(b.reduce_sum(b.exp(x), attrs.integers("axes")));
}
NodeId as_product(Builder& b, NodeId x, const Attributes&) { return b.mul(x, x); }
NodeId as_reciprocal_root(Builder& b, NodeId x, const Attributes&) {
  const NodeId root = b.sqrt(x);
  return b.div(b.like(x, 1), root);
}
NodeId as_quotient(Builder& b, NodeId x, const Attributes&) {
  const NodeId below = b.exp(b.neg(x)), one = b.like(x, 1);
  return b.div(one, b.add(one, below));
}

constexpr Rewrite kRewrites[] = {
    {"x -> x * 1", true, times_one},
    {"x -> x - 0", true, minus_zero},
    {"x -> neg(neg(x))", true, two_negations},
    {"x + y -> y + x", true, commuted},
    {"x -> transpose(transpose(x))", true, transposed_twice},
    {"x -> reshape(reshape(x))", true, reshaped_twice},
    {"x -> concat(slice(x), slice(x))", true, split_and_joined},
    {"x -> select(true, x, 0)", true, selected},
    {"dead code", true, dead_code_beside},
    {"x twice", true, computed_again},
    {"sum in two parts", false, sum_in_two},
    {"product in blocks", false, product_in_blocks},
    {"log_softmax -> log(softmax)", false, other_form<OpKind::LogSoftmax, as_log_of_softmax>},
    {"softmax -> exp(log_softmax)", false, other_form<OpKind::Softmax, as_exp_of_log_softmax>},
    {"logsumexp -> log(sum(exp))", false, other_form<OpKind::LogSumExp, as_log_of_sum>},
    {"square -> x * x", true, other_form<OpKind::Square, as_product>},
    {"rsqrt -> 1 / sqrt", false, other_form<OpKind::Rsqrt, as_reciprocal_root>},
    {"sigmoid -> 1 / (1 + exp(-x))", false, other_form<OpKind::Sigmoid, as_quotient>},
};

/// Sums and products may add up in another order when loops are laid out differently.
bool has_sums(const Graph& graph) {
  return std::ranges::any_of(graph.nodes, [](const Node& node) {
    const OpDef& def = op_def(node);
    return def.kind == Kind::Contract || def.kind == Kind::Scatter || def.kind == Kind::Scan ||
           (def.kind == Kind::Reduce && std::isfinite(def.identity));
  });
}

/// A value with several readers adds up their cotangents, in the order of the readers, which a rewrite may change.
bool adds_cotangents(const Graph& graph) {
  return std::ranges::any_of(graph.nodes, [](const Node& node) { return node.op == OpKind::Grad; });
}

std::string body_of(Graph graph) {
  graph.name = "f";
  return print(graph);
}

/// A case and its rewritten twin, and both graphs optimised. The twin has bounds of its own: another formula may lose
/// more digits.
struct Pair {
  const Case* tested;
  const Rewrite* rewrite;
  Case twin;
  Graph original, rewritten;
};

/// In double both formulas are the same, but for what either loses in its dtype.
bool same_reference(const Case& a, const Case& b) {
  return worst_deviation(a.expected, b.expected.exact).ratio <= 1 ||
         worst_deviation(b.expected, a.expected.exact).ratio <= 1;
}

std::string check_name(const Pair& pair) { return fmt::format("rewrite {}", pair.rewrite->name); }

std::optional<Failure> compare_pair(const Pair& pair, const CompiledGraphs& compiled, size_t first) {
  const Case& tested = *pair.tested;
  const RunOutcome before = run_once(compiled, first, tested.random.arguments, tested.random.extents, tested.setup);
  const RunOutcome after = run_once(compiled, first + 1, tested.random.arguments, tested.random.extents, tested.setup);
  if (const auto wrong = compare(pair.twin, after)) return Failure{tested.seed, check_name(pair), *wrong};
  if (!pair.rewrite->exact || has_sums(pair.original) || has_sums(pair.rewritten) ||
      adds_cotangents(tested.random.graph))
    return std::nullopt;
  const auto bits = different_bits(before.results, after.results);
  return bits ? std::optional(Failure{tested.seed, check_name(pair), "an exact rewrite changes bits: " + *bits})
              : std::nullopt;
}

void compile_pairs(std::span<const Pair> pairs, std::vector<Failure>& failures) {
  std::vector<Graph> graphs;
  for (const Pair& pair : pairs) {
    graphs.push_back(pair.original);
    graphs.push_back(pair.rewritten);
  }
  const Setup& setup = pairs[0].tested->setup;
  try {
    const Result<CompiledGraphs> compiled = CompiledGraphs::compile(graphs, kFull.code(setup.cpu, setup.serial_work));
    SMELT_CHECK(compiled.has_value(), "{}", compiled.error().message);
    for (size_t k = 0; k < pairs.size(); ++k) {
      if (auto failure = compare_pair(pairs[k], *compiled, 2 * k)) failures.push_back(*std::move(failure));
    }
  } catch (const InternalError& error) {
    if (pairs.size() == 1) return failures.push_back({pairs[0].tested->seed, check_name(pairs[0]), error.what()});
    for (const Pair& pair : pairs) compile_pairs(std::span(&pair, 1), failures);
  }
}

/// The graph with one random node rewritten; nothing when no node fits.
std::optional<Graph> apply_rewrite(const Graph& graph, const Rewrite& rewrite, Numbers& numbers) {
  const std::vector<bool> live = live_nodes(graph);
  const auto start = static_cast<uint32_t>(numbers.integer(0, graph.size() - 1));
  for (uint32_t k = 0; k < graph.size(); ++k) {
    const uint32_t chosen = (start + k) % graph.size();
    if (!live[chosen] || graph.nodes[chosen].op == OpKind::Grad || graph.nodes[chosen].op == OpKind::Scan) continue;
    GraphRebuilder rebuilder(graph);
    bool applied = false;
    for (uint32_t i = 0; i < graph.size(); ++i) {
      const NodeId copied = rebuilder.copy({i});
      if (i != chosen) continue;
      const Rewritten made = rewrite.apply(rebuilder.build(), copied, numbers);
      if (!made) break;
      rebuilder.replace({i}, *made);
      applied = true;
    }
    if (!applied) continue;
    Graph rewritten = rebuilder.finish();
    for (size_t a = 0; a < graph.arguments.size(); ++a) {  // an argument is still that, whatever its readers read
      if (graph.arguments[a].node.index != chosen) continue;
      for (uint32_t i = 0; i < rewritten.size(); ++i) {
        const Node& node = rewritten.nodes[i];
        if (node.op == OpKind::Argument && node.attrs.integer("index") == static_cast<int64_t>(a))
          rewritten.arguments[a].node = {i};
      }
    }
    return rewritten;
  }
  return std::nullopt;
}

/// Through the graph passes and the evaluator; the pair when the optimised graph is another one.
std::optional<Pair> rewrite_case(const Case& tested, const Rewrite& rewrite, Numbers& numbers, int64_t& done,
                                 std::vector<Failure>& failures) {
  try {
    const auto rewritten = apply_rewrite(tested.random.graph, rewrite, numbers);
    if (!rewritten) return std::nullopt;
    ++done;
    RandomGraph random = tested.random;
    random.graph = *rewritten;
    Result<Case> twin = make_case(tested.seed, tested.setup, std::move(random));
    SMELT_CHECK(twin.has_value(), "{}", twin.error().message);
    Pair pair{&tested, &rewrite, *std::move(twin), *prepare(tested.random.graph, kFull), *prepare(*rewritten, kFull)};
    SMELT_CHECK(same_reference(tested, pair.twin), "the reference evaluator gives something else");
    const auto values =
        evaluate(pair.rewritten, tested.random.arguments, tested.random.extents, {.rounding = Rounding::Halves});
    SMELT_CHECK(values.has_value(), "{}", values.error().message);
    if (const auto wrong = compare(pair.twin, {.results = *values, .fault = {}})) {
      failures.push_back({tested.seed, check_name(pair), "after the passes: " + *wrong});
      return std::nullopt;
    }
    return body_of(pair.original) == body_of(pair.rewritten) ? std::nullopt : std::optional(std::move(pair));
  } catch (const InternalError& error) {
    failures.push_back({tested.seed, fmt::format("rewrite {}", rewrite.name), error.what()});
    return std::nullopt;
  }
}

}  // namespace

std::vector<Failure> check_rewrites(std::span<const Case> cases, int count, int64_t& done) {
  std::vector<Failure> failures;
  std::map<Group, std::vector<Pair>> pairs;
  for (const Case& tested : cases) {
    Numbers numbers(tested.seed ^ 0x2e);
    std::vector<const Rewrite*> left;  // one that does not apply makes room for another
    for (const Rewrite& rewrite : kRewrites) left.push_back(&rewrite);
    for (const int64_t enough = done + count; done < enough && !left.empty();) {
      const auto chosen = left.begin() + numbers.integer(0, static_cast<int64_t>(left.size()) - 1);
      const Rewrite& rewrite = **chosen;
      left.erase(chosen);
      auto pair = rewrite_case(tested, rewrite, numbers, done, failures);
      if (pair) pairs[group_of(tested)].push_back(*std::move(pair));
    }
  }
  for (const auto& [group, members] : pairs) compile_pairs(members, failures);
  return failures;
}

namespace {

/// Runs of the same graphs, one list a way to fuse them.
std::vector<std::vector<RunOutcome>> run_fused(std::span<const Case* const> members, const std::vector<Graph>& graphs) {
  std::vector<std::vector<RunOutcome>> outcomes;
  for (const Fusion fusion : {Fusion::Full, Fusion::Recompute, Fusion::None}) {
    CodeOptions code = kFull.code(members[0]->setup.cpu, 0);
    code.fusion = fusion;
    code.optimize = fusion != Fusion::None;
    const Result<CompiledGraphs> compiled = CompiledGraphs::compile(graphs, code);
    SMELT_CHECK(compiled.has_value(), "{}", compiled.error().message);
    outcomes.emplace_back();
    for (size_t k = 0; k < members.size(); ++k) {
      outcomes.back().push_back(
          run_once(*compiled, k, members[k]->random.arguments, members[k]->random.extents, members[k]->setup));
    }
  }
  return outcomes;
}

/// A module that cannot be compiled is tried graph by graph, so that the failure has a name.
void compare_fused(std::span<const Case* const> members, std::vector<Failure>& failures) {
  try {
    std::vector<Graph> graphs;
    for (const Case* tested : members) graphs.push_back(*prepare(tested->random.graph, kFull));
    const auto outcomes = run_fused(members, graphs);
    for (size_t k = 0; k < members.size(); ++k) {
      for (size_t way = 1; way < outcomes.size(); ++way) {
        const auto fault = outcomes[way][k].fault;
        const auto bits = fault ? fault : different_bits(outcomes[0][k].results, outcomes[way][k].results);
        if (bits) failures.push_back({members[k]->seed, way == 1 ? "recomputed" : "unfused", *bits});
      }
    }
  } catch (const InternalError& error) {
    if (members.size() == 1) return failures.push_back({members[0]->seed, "unfused", error.what()});
    for (const Case* tested : members) compare_fused(std::span(&tested, 1), failures);
  }
}

bool is_order_free(const Case& tested) {
  try {
    return !has_sums(*prepare(tested.random.graph, kFull));
  } catch (const InternalError&) {
    return false;  // the leg `full` reports it
  }
}

}  // namespace

std::vector<Failure> check_fusion(std::span<const Case> cases, int64_t& done) {
  std::map<Group, std::vector<const Case*>> groups;
  for (const Case& tested : cases) {
    if (is_order_free(tested)) groups[group_of(tested)].push_back(&tested);
  }
  std::vector<Failure> failures;
  for (const auto& [group, members] : groups) {
    compare_fused(members, failures);
    done += static_cast<int64_t>(members.size());
  }
  return failures;
}

}  // namespace smelt::fuzz
