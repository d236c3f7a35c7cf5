#include "compiler/loops/build_loops.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <ranges>
#include <set>
#include <span>

#include "compiler/loops/kernel_builder.h"
#include "compiler/loops/lower_product.h"
#include "compiler/loops/plan_memory.h"
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
  Lowering(const Graph& graph, const FusionPlan& plan, const std::vector<ScalarInput>& scalars,
           const BuildOptions& options, LoopFunction& function)
      : graph_(graph), plan_(plan), scalars_(scalars), options_(options), function_(function) {
    buffers_.of_node.assign(graph_.size(), -1);
  }

  void run() {
    function_.name = graph_.name;
    function_.symbols = graph_.symbols;
    add_arguments();
    add_stored(result_buffers());
    for (size_t k = 0; k < plan_.kernels.size(); ++k) add_kernel(static_cast<int32_t>(k));
    drop_unread_stores();
  }

 private:
  /// The body of a loop: where its arguments and results are is the loop's to say.
  struct Body {
    std::vector<int32_t> arguments;     // buffers, by argument
    std::map<NodeId, int32_t> results;  // buffers of nodes that are results
    int32_t repeat = -1, group = -1;
    double steps = 1;
  };

  void run_body(const Body& body) {
    repeat_ = body.repeat;
    group_ = body.group;
    times_ = body.steps;
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
    function_.buffers.push_back(std::move(buffer));
    return static_cast<int32_t>(function_.buffers.size()) - 1;
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
          buffer.slot = slot_of(scalars_[static_cast<size_t>(argument.ref)].kind);
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
        buffer.check_finite = is_float(buffer.type.dtype);
      } else {
        buffer.storage = Storage::Output;
        buffer.ref = function_.num_outputs++;
      }
      results[result.node] = std::move(buffer);
    }
    return results;
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
    kernel.name = fmt::format("k{}_{}", function_.kernels.size(), op_def(graph_[first]).name);
    const size_t before = function_.kernels.size();
    if (plan.kind == KernelKind::Product) add_product(kernel, plan.product);
    estimate(kernel);
    kernel.serial = is_serial(kernel);
    guard(kernel, k);
    function_.kernels.push_back(std::move(kernel));
    for (size_t added = before; added < function_.kernels.size(); ++added) {
      Kernel& made = function_.kernels[added];
      made.group = group_ >= 0 ? group_ : k;
      made.flops *= times_;
      made.bytes *= times_;
    }
  }

  /// The buffer of the carry that `part` is left in.
  int32_t carry_buffer(const Node& part) const {
    const Node& scan = graph_[part.inputs[0]];
    const Output& result = scan.body->results[static_cast<size_t>(part.attrs.integer("result"))];
    return buffer_of(scan.inputs[carry_argument(*scan.body, result.ref)]);
  }

  int32_t buffer_of(NodeId operand) const { return buffers_.of_node[alias_root(graph_, plan_.stored, operand).index]; }

  /// A carry is a variable of the body, which overwrites it once everything has read what the step before left.
  static Graph as_function(Graph body) {
    for (Argument& argument : body.arguments)
      argument.role = argument.role == ArgRole::Carry ? ArgRole::Variable : ArgRole::Feed;
    for (Output& result : body.results)
      result.role = result.role == ResultRole::Carry ? ResultRole::Variable : ResultRole::Value;
    return isolate_results(std::move(body));
  }

  void add_repeat(int32_t k) {
    const NodeId scan = plan_.kernels[static_cast<size_t>(k)].scan;
    const Node& node = graph_[scan];
    const auto repeat = static_cast<int32_t>(function_.repeats.size());
    const auto first = static_cast<int32_t>(function_.kernels.size());
    function_.repeats.push_back({first, first, repeat_, steps_of(node), is_reversed(node)});
    const Graph body = as_function(*node.body);
    const FusionPlan plan = plan_kernels(body, plan_.fusion);
    Lowering inner(body, plan, scalars_, options_, function_);
    inner.run_body({.arguments = body_arguments(node, repeat),
                    .results = body_results(scan, body, repeat),
                    .repeat = repeat,
                    .group = group_ >= 0 ? group_ : k,
                    .steps = times_ * usual(steps_of(node))});
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

  /// `body`: after `as_function`, its results in the order of the scan's body.
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

  /// The micro-kernel reads columns side by side, or panels of them. Rows of b that lie far apart are packed as well
  /// when enough rows of a pay for it: each step of the depth would touch another page, and lines of equal sets.
  bool reads_in_place(const Product& product) const {
    constexpr int64_t kFarApart = int64_t{256} << 10;  // bytes from the first step of the depth to the last
    constexpr int64_t kManyRows = 512;
    const ProductAxis& depth = product.inner.back();
    if (product.form == ProductForm::Dot) return depth.b_stride == 1;
    if (product.column.extent == Extent(1)) return true;
    if (product.column.b_stride != 1) return false;
    int64_t rows = usual_rows(product);
    for (const ProductAxis& axis : product.outer) rows *= axis.b_stride == 0 ? axis.extent.bound : 1;
    return depth.extent.bound * std::abs(depth.b_stride) * size_of(product.dtype) < kFarApart || rows < kManyRows;
  }

  /// Pairs of bf16 need one left operand, of bf16 along the depth; b is packed for them when it is bf16, or packed
  /// anyway, or when so many rows use the panels that half the multiplications pay for the packing.
  bool multiplies_pairs(const Product& product) const {
    const auto dtype = [&](int32_t buffer) { return function_.buffers[static_cast<size_t>(buffer)].type.dtype; };
    const ProductAxis& depth = product.inner.back();
    return options_.registers.bf16_pairs && product.more.empty() && product.dtype == DType::F32 &&
           product.form == ProductForm::Broadcast && dtype(product.a) == DType::BF16 && depth.a_stride == 1 &&
           depth.extent.bound > 1 && product.column.extent != Extent(1) &&
           (dtype(product.b) == DType::BF16 || !reads_in_place(product) ||
            usual_rows(product) >= options_.blocking.pairs_pay);
  }

  /// The same for a gradient of a weight, whose depth is the batch: both operands are packed.
  bool multiplies_packed_pairs(const Product& product) const {
    const auto is_bf16 = [&](int32_t buffer) {
      return function_.buffers[static_cast<size_t>(buffer)].type.dtype == DType::BF16;
    };
    const bool is_plain = options_.registers.bf16_pairs && product.dtype == DType::F32 &&
                          product.form == ProductForm::Broadcast && product.block == 0 && product.inner.size() == 1 &&
                          product.outer.empty() && product.row.a_stride == 1 && product.row.extent.is_static();
    const int64_t least =
        std::min({product.row.extent.bound, product.column.extent.bound, product.inner.back().extent.bound});
    return is_plain && least >= options_.blocking.pairs_pay && product.inner.back().extent.bound > 1 &&
           product.column.extent != Extent(1) &&
           std::ranges::all_of(operand_pairs(product),
                               [&](const ProductOperands& pair) { return is_bf16(pair.a) && is_bf16(pair.b); });
  }

  void add_product(Kernel& kernel, NodeId id) {
    const LoweredProduct lowered = lower_product(graph_, id);
    kernel.product = lowered.product;
    const auto buffer_of_node = [&](NodeId operand) {
      return buffers_.of_node[operand_root(graph_, plan_.stored, operand).index];
    };
    const auto fill = [&](ProductOperands& operands, const LoweredProduct::Operands& nodes) {
      operands.a = buffer_of_node(nodes.a);
      operands.b = buffer_of_node(nodes.b);
    };
    fill(kernel.product, lowered.pairs[0]);
    for (size_t k = 1; k < lowered.pairs.size(); ++k) fill(kernel.product.more[k - 1], lowered.pairs[k]);
    choose_tile(kernel.product, options_.registers, usual_rows(kernel.product));
    kernel.product.bf16_pairs = multiplies_pairs(kernel.product);
    const auto buffer_of = [&](const std::string& what, int64_t elements, DType dtype) {
      LoopBuffer buffer{.name = fmt::format("{}{}", what, id.index), .type = {dtype, {elements}}};
      buffer.span = kernel.span;
      return add_buffer(std::move(buffer));
    };
    kernel.product.block = choose_block(kernel.product, options_.blocking);
    if (kernel.product.block > 0)
      kernel.product.partials = buffer_of("partials", tile_elements(kernel.product), kernel.product.dtype);
    const bool packs_left = !kernel.product.bf16_pairs && multiplies_packed_pairs(kernel.product);
    kernel.product.bf16_pairs |= packs_left;
    if (!kernel.product.bf16_pairs && reads_in_place(kernel.product)) {
      kernel.product.stretch = choose_stretch(kernel.product, options_.blocking, usual_rows(kernel.product));
      return;
    }
    const DType stored = kernel.product.bf16_pairs ? DType::BF16 : kernel.product.dtype;
    const auto panels = [&](const std::string& name) {
      return buffer_of(name, panel_layout(kernel.product).total_elements, stored);
    };
    add_pack(kernel, kernel.product, panels("panels"));
    for (size_t k = 0; k < kernel.product.more.size(); ++k) {
      add_pack(kernel, kernel.product.more[k], panels(fmt::format("panels{}_", k + 1)));
    }
    if (packs_left) add_left_packs(kernel, buffer_of);
    kernel.name = fmt::format("k{}_contract", function_.kernels.size());
  }

  /// Panels for the right operand of one pair, and the kernel before the product's that fills them.
  void add_pack(const Kernel& kernel, ProductOperands& operands, int32_t panels) {
    operands.packed = panels;
    Kernel pack{.name = fmt::format("k{}_pack", function_.kernels.size()), .kind = KernelKind::Pack};
    pack.product = kernel.product;
    static_cast<ProductOperands&>(pack.product) = operands;
    pack.product.more.clear();
    pack.span = kernel.span;
    pack.bytes = 2.0 * static_cast<double>(byte_size(function_.buffers[static_cast<size_t>(panels)].type).value_or(0));
    function_.kernels.push_back(std::move(pack));
  }

  template <typename MakeBuffer>
  void add_left_packs(Kernel& kernel, const MakeBuffer& make_buffer) {
    Product& product = kernel.product;
    const auto pack = [&](ProductOperands& operands, const std::string& name) {
      Product packing = left_panel(product);
      packing.packed = make_buffer(name, panel_layout(packing).total_elements, DType::BF16);
      packing.a = packing.b = operands.a;
      operands.a = packing.packed;
      Kernel& added = function_.kernels.emplace_back();
      added = {.name = fmt::format("k{}_pack", function_.kernels.size() - 1), .kind = KernelKind::Pack};
      added.product = std::move(packing);
      added.span = kernel.span;
      added.bytes =
          2.0 * static_cast<double>(byte_size(function_.buffers[static_cast<size_t>(operands.a)].type).value_or(0));
    };
    pack(product, "left");
    for (size_t k = 0; k < product.more.size(); ++k) pack(product.more[k], fmt::format("left{}_", k + 1));
    read_left_panel(product);
    kernel.name = fmt::format("k{}_contract", function_.kernels.size());
  }

  double usual(const Extent& extent) const {
    return static_cast<double>(!extent.is_static() && extent.symbol == options_.batch_symbol ? options_.batch
                                                                                             : extent.bound);
  }

  int64_t usual_rows(const Product& product) const { return static_cast<int64_t>(usual(product.row.extent)); }

  /// Points of these loops, at the bounds or at the sizes that runs usually have.
  double points(std::span<const int32_t> loops, const Kernel& kernel, bool at_bounds) const {
    double product = 1;
    for (const int32_t loop : loops) {
      const Extent& extent = kernel.loops[static_cast<size_t>(loop)].extent;
      product *= at_bounds ? static_cast<double>(extent.bound) : usual(extent);
    }
    return product;
  }

  double usual_bytes(int32_t buffer) const {
    const TensorType& type = function_.buffers[static_cast<size_t>(buffer)].type;
    double bytes = static_cast<double>(size_of(type.dtype));
    for (const Extent& extent : type.shape) bytes *= usual(extent);
    return bytes;
  }

  /// FLOPs and bytes that `profile` and `bench` report.
  void estimate(Kernel& kernel) const {
    const std::vector<int32_t> outer = outer_loops(kernel);
    const double outer_points = points(outer, kernel, false);
    const auto add = [&](const std::vector<Stmt>& body, double times) {
      for (const Stmt& stmt : body) {
        if (stmt.kind == StmtKind::Compute) kernel.flops += times;
        if (stmt.kind == StmtKind::Random) kernel.flops += 40 * times;
        if (stmt.kind == StmtKind::Load || stmt.kind == StmtKind::Store) {
          kernel.bytes += times * static_cast<double>(size_of(stmt.dtype));
        }
      }
    };
    for (const Sweep& sweep : kernel.sweeps) {
      const double times = outer_points * points(sweep.loops, kernel, false);
      add(sweep.setup, outer_points);
      add(sweep.body, times);
      kernel.flops += times * static_cast<double>(sweep.folds.size());
    }
    if (kernel.kind != KernelKind::Product) return;
    const std::vector<ProductOperands> pairs = operand_pairs(kernel.product);
    auto terms = static_cast<double>(pairs.size());
    for (const ProductAxis& axis : kernel.product.inner) terms *= usual(axis.extent);
    kernel.flops += 2 * outer_points * terms;
    for (const ProductOperands& pair : pairs) kernel.bytes += usual_bytes(pair.a) + usual_bytes(pair.b);
  }

  /// Whether one thread runs the kernel: decided at the bounds, so that the code does not depend on what runs are
  /// usual.
  bool is_serial(const Kernel& kernel) const {
    const double outer_points = points(outer_loops(kernel), kernel, true);
    double work = 0;
    for (const Sweep& sweep : kernel.sweeps) {
      work += outer_points * points(sweep.loops, kernel, true) *
              static_cast<double>(sweep.body.size() + sweep.setup.size());
    }
    if (kernel.kind == KernelKind::Product) {
      auto terms = static_cast<double>(operand_pairs(kernel.product).size());
      for (const ProductAxis& axis : kernel.product.inner) terms *= static_cast<double>(axis.extent.bound);
      work += outer_points * terms / 8;
    }
    return work < options_.serial_work || kernel.num_outer == 0;
  }

  static std::vector<int32_t> outer_loops(const Kernel& kernel) {
    std::vector<int32_t> outer(static_cast<size_t>(kernel.num_outer));
    std::ranges::copy(std::views::iota(0, kernel.num_outer), outer.begin());
    return outer;
  }

  // A stored value whose every reader found it in a register needs no memory.
  void drop_unread_stores() {
    std::set<int32_t> read;
    const auto each_body = [&](Kernel& kernel, const auto& visit) {
      visit(kernel.setup);
      for (Sweep& sweep : kernel.sweeps) {
        visit(sweep.setup);
        visit(sweep.body);
      }
    };
    // Who reads a slice reads what it is a slice of.
    const auto note = [&](int32_t buffer) {
      for (; buffer >= 0; buffer = function_.buffers[static_cast<size_t>(buffer)].ref) {
        read.insert(buffer);
        if (function_.buffers[static_cast<size_t>(buffer)].storage != Storage::Slice) return;
      }
    };
    for (Kernel& kernel : function_.kernels) {
      if (kernel.kind != KernelKind::Nest) {
        for (const ProductOperands& pair : operand_pairs(kernel.product)) {
          note(pair.a);
          note(pair.b);
          note(pair.packed);
        }
      }
      each_body(kernel, [&](const std::vector<Stmt>& body) {
        for (const Stmt& stmt : body) {
          if (stmt.kind == StmtKind::Load) note(stmt.access.buffer);
        }
      });
    }
    for (Kernel& kernel : function_.kernels) {
      each_body(kernel, [&](std::vector<Stmt>& body) {
        std::erase_if(body, [&](const Stmt& stmt) {
          return stmt.kind == StmtKind::Store && !read.contains(stmt.access.buffer) &&
                 function_.buffers[static_cast<size_t>(stmt.access.buffer)].storage == Storage::Temporary;
        });
      });
      std::erase_if(kernel.sweeps, [&](const Sweep& sweep) {
        return kernel.kind == KernelKind::Nest && sweep.setup.empty() && sweep.loops.empty();
      });
    }
  }

  const Graph& graph_;
  const FusionPlan& plan_;
  const std::vector<ScalarInput>& scalars_;
  const BuildOptions& options_;
  LoopFunction& function_;
  BufferTable buffers_;
  int32_t repeat_ = -1, group_ = -1;  // of a body: the repetition, and the group of the outermost loop
  double times_ = 1;                  // how often a kernel runs, usually
};

}  // namespace

LoopFunction build_loops(const Graph& graph, const FusionPlan& plan, const std::vector<ScalarInput>& scalars,
                         const BuildOptions& options) {
  LoopFunction function;
  Lowering(graph, plan, scalars, options, function).run();
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
    for_each_buffer(kernel, [&](int32_t buffer) {
      if (static_cast<size_t>(buffer) >= known)
        nodes[static_cast<size_t>(buffer)] = group.scan.valid() ? group.scan : group.product;
    });
  }
  return nodes;
}

}  // namespace smelt
