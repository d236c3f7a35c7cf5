#include "compiler/graph/reverse_sweep.h"

#include <algorithm>
#include <map>

#include "compiler/graph/differentiate_scan.h"
#include "ir/example_axis.h"
#include "ir/op.h"
#include "ir/ops/vjp_rules.h"

namespace smelt {
namespace {

/// depends[i]: node i is one of `sources`, or a float computed from one without `stop` in between.
std::vector<bool> depends_on(const Graph& graph, const std::vector<NodeId>& sources, NodeId last) {
  std::vector<bool> depends(last.index + 1);
  for (const NodeId source : sources) {
    if (source.index <= last.index) depends[source.index] = true;
  }
  for (uint32_t i = 0; i <= last.index; ++i) {
    const Node& node = graph.nodes[i];
    // A scan has the type of its steps, and floats among its parts.
    const bool passes = is_float(node.type.dtype) || node.op == OpKind::Scan;
    if (depends[i] || node.op == OpKind::Stop || !passes) continue;
    depends[i] = std::ranges::any_of(paths_of(node), [&](NodeId input) { return depends[input.index]; });
  }
  return depends;
}

/// A copy of g in which `ct` is `value`; what does not depend on `ct` is shared.
NodeId substitute(Builder& builder, NodeId g, NodeId ct, NodeId value) {
  std::vector<NodeId> now(g.index + 1);
  if (ct.index <= g.index) now[ct.index] = value;
  for (uint32_t i = ct.index + 1; i <= g.index; ++i) {
    Node node = builder.graph().nodes[i];
    if (std::ranges::none_of(node.inputs, [&](NodeId input) { return now[input.index].valid(); })) continue;
    for (NodeId& input : node.inputs) input = now[input.index].valid() ? now[input.index] : input;
    now[i] = builder.copy(node, node.inputs);
  }
  return now[g.index].valid() ? now[g.index] : g;
}

class ReverseSweep {
 public:
  ReverseSweep(Builder& builder, NodeId last, const std::vector<NodeId>& xs)
      : builder_(builder), depends_(depends_on(builder.graph(), xs, last)), cotangents_(last.index + 1) {}

  std::vector<NodeId> run(const std::vector<Seed>& seeds, const std::vector<NodeId>& xs) {
    for (const Seed& seed : seeds) add(seed.value, seed.cotangent);
    for (auto i = static_cast<uint32_t>(cotangents_.size()); i-- > 0;) {
      if (cotangents_[i].valid() && depends_[i]) visit({i});
    }
    std::vector<NodeId> gradients;
    for (const NodeId x : xs) {
      const bool reached = x.index < cotangents_.size() && cotangents_[x.index].valid();
      gradients.push_back(reached ? cotangents_[x.index] : builder_.like(x, 0));
    }
    return gradients;
  }

 private:
  void visit(NodeId id) {
    const Node node = builder_.graph()[id];
    const NodeId ct = cotangents_[id.index];
    builder_.set_place(node);
    if (node.op == OpKind::Variable) return add(node.inputs[0], ct);
    if (node.op == OpKind::Adjoint) {
      add(node.inputs[0], ct);
      if (depends_[node.inputs[1].index]) add(node.inputs[1], substitute(builder_, node.inputs[3], node.inputs[2], ct));
      return;
    }
    if (node.op == OpKind::Part) {
      std::vector<NodeId>& parts = parts_[node.inputs[0]];
      parts.resize(builder_.graph()[node.inputs[0]].body->results.size());
      NodeId& total = parts[static_cast<size_t>(node.attrs.integer("result"))];
      total = total.valid() ? add_cotangents(builder_, total, ct) : ct;
      cotangents_[node.inputs[0].index] = ct;  // the scan is reached; its cotangents are in `parts_`
      return;
    }
    std::vector<bool> needed;
    for (const NodeId input : node.inputs) needed.push_back(depends_[input.index]);
    if (node.op == OpKind::Scan) {
      const std::vector<NodeId> cotangents = scan_cotangents(builder_, id, parts_[id], needed);
      for (size_t k = 0; k < cotangents.size(); ++k) {
        if (cotangents[k].valid()) add(node.inputs[k], cotangents[k]);
      }
      return;
    }
    if (std::ranges::find(needed, true) == needed.end()) return;
    Vjp vjp(builder_, id, ct, needed);
    op_def(node).vjp(vjp);
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      if (needed[k] && vjp.cotangents()[k].valid()) add(node.inputs[k], vjp.cotangents()[k]);
    }
  }

  void add(NodeId to, NodeId ct) {
    if (to.index >= depends_.size() || !depends_[to.index]) return;
    NodeId& total = cotangents_[to.index];
    total = total.valid() ? add_cotangents(builder_, total, ct) : ct;
  }

  Builder& builder_;
  std::vector<bool> depends_;
  std::vector<NodeId> cotangents_;
  std::map<NodeId, std::vector<NodeId>> parts_;  // by scan: the cotangents of its results
};

}  // namespace

std::vector<NodeId> reverse_sweep(Builder& build, NodeId last, const std::vector<Seed>& seeds,
                                  const std::vector<NodeId>& xs) {
  return ReverseSweep(build, last, xs).run(seeds, xs);
}

}  // namespace smelt
