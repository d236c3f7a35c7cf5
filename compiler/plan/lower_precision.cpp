#include "compiler/plan/lower_precision.h"

#include <vector>

#include "compiler/plan/plan_kernels.h"
#include "ir/half_bits.h"
#include "ir/op.h"
#include "ir/rewrite.h"

namespace smelt {
namespace {

class Chooser {
 public:
  explicit Chooser(const Graph& graph)
      : graph_(graph), plan_(make_plan(graph)), users_(users_of(graph)), keeps_(graph.size(), false) {
    for (const Output& result : graph.results) {
      keeps_[result.node.index] = true;
      if (result.role == ResultRole::Variable) keep_update(result.node);
    }
    for (const Node& node : graph.nodes) {
      if (op_def(node).kind == Kind::Gather) keep_table(node.inputs[0]);
    }
  }

  /// Whether `id` lies in memory between kernels and may be rounded there.
  bool narrows(NodeId id) const {
    const Node& node = graph_[id];
    if (node.type.dtype != DType::F32 || keeps_[id.index] || !plan_.stored[id.index]) return false;
    if (plan_.why_stored[id.index] != StoreReason::ProductOperand) {
      // One number for a row, or for whatever a broadcast repeats it over, is few bytes and says much.
      if (node.type.rank() < 2 || plan_.why_stored[id.index] == StoreReason::Repeated) return false;
      // The literature leaves such results in f32. As an operand of a product they are activations like others.
      if (op_def(node).traits.stays_f32) return false;
    }
    switch (op_def(node).kind) {
      case Kind::Elementwise:
      case Kind::Move:
      case Kind::Gather:
      case Kind::Random: return true;
      case Kind::Contract: return leaves_kernel(id);
      case Kind::Reduce:
      case Kind::Scatter:
      case Kind::Argument:
      case Kind::Constant:
      case Kind::Index:
      case Kind::Extent:
      case Kind::Scan:
      case Kind::Part:
      case Kind::Composite:
      case Kind::Meta: break;
    }
    return false;
  }

 private:
  /// The update of a parameter is computed by element from its gradient, the sum that begins it.
  void keep_update(NodeId id) {
    keeps_[id.index] = true;
    const Kind kind = op_def(graph_[id]).kind;
    if (kind != Kind::Elementwise && kind != Kind::Move) return;
    for (const NodeId input : graph_[id].inputs) {
      if (!keeps_[input.index]) keep_update(input);
    }
  }

  void keep_table(NodeId id) {
    keeps_[id.index] = true;
    if (graph_[id].op == OpKind::Reshape) keep_table(graph_[id].inputs[0]);
  }

  /// A finished sum of products goes to memory when a kernel other than its own reads it.
  bool leaves_kernel(NodeId id) const {
    std::vector<NodeId> waiting = users_[id.index];
    while (!waiting.empty()) {
      const NodeId reader = waiting.back();
      waiting.pop_back();
      if (!plan_.stored[reader.index]) {
        waiting.insert(waiting.end(), users_[reader.index].begin(), users_[reader.index].end());
      } else if (plan_.kernel_of[reader.index] != plan_.kernel_of[id.index]) {
        return true;
      }
    }
    return false;
  }

  const Graph& graph_;
  const FusionPlan plan_;
  const std::vector<std::vector<NodeId>> users_;
  std::vector<bool> keeps_;
};

}  // namespace

Graph lower_precision(Graph graph, DType precision) {
  if (!is_half(precision)) return graph;
  const Chooser chooser(graph);
  GraphRebuilder rebuilder(graph);
  for (uint32_t i = 0; i < graph.size(); ++i) {
    const NodeId copied = rebuilder.copy({i});
    if (!chooser.narrows({i})) continue;
    Builder& b = rebuilder.build();
    b.set_place(graph.nodes[i]);
    rebuilder.replace({i}, b.cast(b.cast(copied, precision), DType::F32));
  }
  return rebuilder.finish();
}

}  // namespace smelt
