#include "compiler/lower/build_loops.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "compiler/loops/walk.h"
#include "compiler/lower/kernel_builder.h"
#include "compiler/lower/lower_product.h"
#include "compiler/plan/index_walk.h"
#include "compiler/plan/order_nodes.h"
#include "ir/op.h"
#include "ir/scan.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

ScalarSlot slot_of(ScalarKind kind) {
  switch (kind) {
    case ScalarKind::Setting:
    case ScalarKind::Loss: return ScalarSlot::Stored;
    case ScalarKind::Iteration: return ScalarSlot::Iteration;
    case ScalarKind::Horizon: return ScalarSlot::Horizon;
    case ScalarKind::Update: return ScalarSlot::Update;
  }
  return ScalarSlot::Stored;
}

/// A scan has its parts' buffers; what is left in a carry stays where the carry is.
bool has_own_buffer(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  return node.op != OpKind::Scan && !is_left_in_carry(graph, id);
}

class Lowering {
 public:
  Lowering(const Graph& graph, const FusionPlan& plan, const LowerOptions& options, LoopFunction& function)
      : graph_(graph), plan_(plan), options_(options), function_(function) {
    buffers_.of_node.assign(graph_.size(), -1);
  }

  void run() {
    function_.name = graph_.name;
    function_.symbols = graph_.symbols;
    function_.arithmetic = options_.arithmetic;
    function_.bf16_products = options_.bf16_products;
    function_.is_step = options_.is_step;
    function_.temporaries.begin = options_.begin;
    for (const DimSymbol& symbol : graph_.symbols) function_.usual.push_back(symbol.bound);
    if (options_.batch_symbol >= 0) function_.usual[static_cast<size_t>(options_.batch_symbol)] = options_.batch;
    set_sizes_that_follow(graph_.symbols, function_.usual);
    for (int64_t& size : function_.usual) size = std::max<int64_t>(size, 1);
    add_arguments();
    add_stored(result_buffers());
    for (size_t k = 0; k < plan_.kernels.size(); ++k) add_kernel(static_cast<int32_t>(k));
  }

 private:
  /// The body of a loop: where its arguments and results are is the loop's to say.
  struct Body {
    std::vector<int32_t> arguments;     // buffers, by argument
    std::map<NodeId, int32_t> results;  // buffers of nodes that are results
    int32_t repeat = -1, group = -1;
  };

  void run_body(const Body& body) {
    repeat_ = body.repeat;
    group_ = body.group;
    for (size_t a = 0; a < body.arguments.size(); ++a)
      buffers_.of_node[graph_.arguments[a].node.index] = body.arguments[a];
    for (const NodeId id : plan_.order) {
      const auto result = body.results.find(id);
      if (result != body.results.end()) buffers_.of_node[id.index] = result->second;
    }
    add_stored({});
    for (size_t k = 0; k < plan_.kernels.size(); ++k) add_kernel(static_cast<int32_t>(k));
  }

  int32_t add_buffer(LoopBuffer buffer) {
    if (buffer.storage == Storage::Temporary) buffer.repeat = repeat_;
    return smelt::add_buffer(function_, std::move(buffer));
  }

  void add_arguments() {
    for (const Argument& argument : graph_.arguments) {
      LoopBuffer buffer{.name = argument.name, .ref = argument.ref, .type = graph_.type(argument.node)};
      switch (argument.role) {
        case ArgRole::Variable: buffer.storage = Storage::Variable; break;
        case ArgRole::Column:
        case ArgRole::Rows:
        case ArgRole::Feed:
          buffer.storage = Storage::Input;
          buffer.ref = function_.num_inputs++;
          break;
        case ArgRole::Scalar:
          buffer.storage = Storage::Scalar;
          buffer.slot = slot_of(options_.scalars[static_cast<size_t>(argument.ref)].kind);
          break;
        case ArgRole::Carry:
        case ArgRole::Slice:
        case ArgRole::Whole: SMELT_CHECK(false, "argument `{}` of a body outside of its loop", argument.name);
        case ArgRole::Seed:
        case ArgRole::Run:
          buffer.storage = Storage::Scalar;
          buffer.slot = argument.role == ArgRole::Seed ? ScalarSlot::Seed : ScalarSlot::Run;
          break;
      }
      buffers_.of_node[argument.node.index] = add_buffer(std::move(buffer));
    }
  }

  std::map<NodeId, LoopBuffer> result_buffers() {
    std::map<NodeId, LoopBuffer> results;
    for (const Output& result : graph_.results) {
      LoopBuffer buffer{.name = result.name, .type = graph_.type(result.node)};
      if (result.role == ResultRole::Variable) {
        buffer.storage = Storage::Variable;
        buffer.ref = result.ref;
        buffer.check_finite = is_float(buffer.type.dtype) && !is_state(result.ref);
      } else {
        buffer.storage = Storage::Output;
        buffer.ref = function_.num_outputs++;
      }
      results[result.node] = std::move(buffer);
    }
    return results;
  }

  /// A variable that a function without a loss goes on from is no parameter: it may hold what is not finite.
  bool is_state(int32_t ref) const {
    return std::ranges::none_of(graph_.results, guards) &&
           std::ranges::any_of(graph_.arguments, [&](const Argument& argument) {
             return argument.role == ArgRole::Variable && argument.ref == ref;
           });
  }

  void add_stored(const std::map<NodeId, LoopBuffer>& results) {
    for (const NodeId id : plan_.order) {
      if (!plan_.stored[id.index] || buffers_.of_node[id.index] >= 0) continue;
      const Node& node = graph_[id];
      if (!has_own_buffer(graph_, id)) {
        if (node.op == OpKind::Part) buffers_.of_node[id.index] = carry_buffer(node);
        continue;
      }
      LoopBuffer buffer{.name = fmt::format("{}{}", op_def(node).name, id.index), .type = node.type};
      if (const auto result = results.find(id); result != results.end()) buffer = result->second;
      buffer.span = node.span;
      buffers_.of_node[id.index] = add_buffer(std::move(buffer));
    }
  }

  void add_kernel(int32_t k) {
    const KernelPlan& plan = plan_.kernels[static_cast<size_t>(k)];
    if (plan.scan.valid()) return add_repeat(k);
    Kernel kernel = KernelBuilder(graph_, plan_, buffers_, k).build();
    const NodeId first = plan.product.valid() ? plan.product : plan.sweeps[0].nodes[0];
    kernel.span = graph_[first].place();
    kernel.label = op_def(graph_[first]).name;
    if (plan.is_product()) add_product(kernel, plan.product);
    kernel.group = group_ >= 0 ? group_ : k;
    guard(kernel, k);
    function_.kernels.push_back(std::move(kernel));
  }

  /// The buffer of the carry that `part` is left in.
  int32_t carry_buffer(const Node& part) const {
    const Node& scan = graph_[part.inputs[0]];
    const Output& result = scan.body->results[static_cast<size_t>(part.attrs.integer("result"))];
    return buffer_of(scan.inputs[carry_argument(*scan.body, result.ref)]);
  }

  int32_t buffer_of(NodeId operand) const { return buffers_.of_node[alias_root(graph_, plan_.stored, operand).index]; }

  void add_repeat(int32_t k) {
    const NodeId scan = plan_.kernels[static_cast<size_t>(k)].scan;
    const Node& node = graph_[scan];
    const auto repeat = static_cast<int32_t>(function_.repeats.size());
    const auto first = static_cast<int32_t>(function_.kernels.size());
    const int32_t until =
        may_stop(node) ? buffer_of(node.inputs[carry_argument(*node.body, until_of(node))]) : int32_t{-1};
    function_.repeats.push_back({first, first, repeat_, steps_of(node), is_reversed(node), until});
    const PlannedBody& body = *plan_.kernels[static_cast<size_t>(k)].body;
    Lowering inner(body.graph, body.plan, options_, function_);
    inner.run_body({.arguments = body_arguments(node, repeat),
                    .results = body_results(scan, body.graph, repeat),
                    .repeat = repeat,
                    .group = group_ >= 0 ? group_ : k});
    function_.repeats[static_cast<size_t>(repeat)].last = static_cast<int32_t>(function_.kernels.size());
  }

  int32_t slice_of(int32_t buffer, const std::string& name, const TensorType& type, int32_t repeat) {
    return add_buffer({.name = name, .storage = Storage::Slice, .ref = buffer, .type = type, .repeat = repeat});
  }

  std::vector<int32_t> body_arguments(const Node& scan, int32_t repeat) {
    std::vector<int32_t> buffers;
    for (size_t a = 0; a < scan.inputs.size(); ++a) {
      const Argument& argument = scan.body->arguments[a];
      const int32_t whole = buffer_of(scan.inputs[a]);
      SMELT_CHECK(whole >= 0, "operand {} of a scan, %{} = {}, has no buffer", a, scan.inputs[a].index,
                  op_def(graph_[scan.inputs[a]]).name);
      const bool sliced = argument.role == ArgRole::Slice;
      buffers.push_back(sliced ? slice_of(whole, argument.name, scan.body->type(argument.node), repeat) : whole);
    }
    return buffers;
  }

  /// `body`: as it was planned, its results in the order of the scan's body.
  std::map<NodeId, int32_t> body_results(NodeId scan, const Graph& body, int32_t repeat) {
    const Node& node = graph_[scan];
    std::vector<int32_t> parts(body.results.size(), -1);
    for (const NodeId id : plan_.order) {
      if (graph_[id].op == OpKind::Part && graph_[id].inputs[0] == scan)
        parts[static_cast<size_t>(graph_[id].attrs.integer("result"))] = buffers_.of_node[id.index];
    }
    std::map<NodeId, int32_t> buffers;
    for (size_t k = 0; k < body.results.size(); ++k) {
      const Output& result = body.results[k];
      if (result.role == ResultRole::Variable) {
        buffers[result.node] = buffer_of(node.inputs[carry_argument(*node.body, result.ref)]);
        continue;
      }
      // Nobody reads it, and no pass has dropped it.
      if (parts[k] < 0) parts[k] = add_buffer({.name = result.name, .type = part_type(node, k)});
      buffers[result.node] = slice_of(parts[k], result.name, body.type(result.node), repeat);
    }
    return buffers;
  }

  void guard(Kernel& kernel, int32_t k) const {
    const bool commits =
        std::ranges::any_of(graph_.results, [](const Output& result) { return result.role == ResultRole::Variable; });
    if (!commits) return;
    for (const NodeId id : plan_.guards) {
      if (plan_.kernel_of[id.index] == k) kernel.guarded.push_back(buffers_.of_node[id.index]);
    }
  }

  void add_product(Kernel& kernel, NodeId id) {
    LoweredProduct lowered = lower_product(graph_, id);
    const auto buffer_of_node = [&](NodeId operand) {
      return buffers_.of_node[operand_root(graph_, plan_.stored, operand).index];
    };
    for (size_t k = 0; k < lowered.pairs.size(); ++k)
      lowered.product.pairs[k] = {buffer_of_node(lowered.pairs[k].a), buffer_of_node(lowered.pairs[k].b)};
    kernel.work = std::move(lowered.product);
  }

  const Graph& graph_;
  const FusionPlan& plan_;
  const LowerOptions& options_;
  LoopFunction& function_;
  BufferTable buffers_{{}, function_.buffers};
  int32_t repeat_ = -1, group_ = -1;  // of a body: the repetition, and the group of the outermost loop
};

}  // namespace

LoopFunction build_loops(const Graph& graph, const FusionPlan& plan, const LowerOptions& options) {
  LoopFunction function;
  Lowering(graph, plan, options, function).run();
  return function;
}

std::vector<NodeId> nodes_of_buffers(const Graph& graph, const FusionPlan& plan, const LoopFunction& function) {
  std::vector<NodeId> nodes;
  for (const Argument& argument : graph.arguments) nodes.push_back(argument.node);
  for (const NodeId id : plan.order) {
    if (plan.stored[id.index] && has_own_buffer(graph, id)) nodes.push_back(id);
  }
  const size_t known = nodes.size();
  nodes.resize(function.buffers.size());
  for (const Kernel& kernel : function.kernels) {
    const KernelPlan& group = plan.kernels[static_cast<size_t>(kernel.group)];
    const auto is_made_for = [&](int32_t buffer) {
      if (static_cast<size_t>(buffer) >= known)
        nodes[static_cast<size_t>(buffer)] = group.scan.valid() ? group.scan : group.product;
    };
    for_each_buffer(kernel, [&](int32_t buffer) {
      is_made_for(buffer);
      is_made_for(whole_of(function, buffer));  // of a loop in a loop, which kernels touch by its slices alone
    });
  }
  return nodes;
}

}  // namespace smelt
