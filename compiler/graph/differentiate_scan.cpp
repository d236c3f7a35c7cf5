#include "compiler/graph/differentiate_scan.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/graph/expand_composites.h"
#include "compiler/graph/reverse_sweep.h"
#include "ir/op.h"
#include "ir/scan.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

/// Builds the body of the reversed scan and the list of its operands.
class ReversedScan {
 public:
  ReversedScan(Builder& outer, NodeId scan, std::span<const NodeId> cotangents, const std::vector<bool>& needed)
      : outer_(outer),
        scan_(scan),
        node_(outer.graph()[scan]),
        forward_(expand_for_sweep(*node_.body)),
        cotangents_(cotangents.begin(), cotangents.end()),
        needed_(needed),
        builder_(body_) {
    cotangents_.resize(forward_.results.size());
  }

  std::vector<NodeId> run() {
    build({});
    const std::vector<NodeId> kept = values_to_keep();
    if (!kept.empty()) build(kept);
    return wire();
  }

 private:
  /// The body, from which the values `kept` of the forward step are not computed again but read.
  void build(const std::vector<NodeId>& kept) {
    kept_ = kept;
    body_ = {};
    body_.name = original_name() + "_adjoint";
    body_.symbols = forward_.symbols;
    inputs_.clear();
    map_.assign(forward_.size(), NodeId{});
    wanted_.clear();
    seeds_.clear();
    num_carries_ = 0;
    save_kept();
    add_carries();
    add_sums();
    add_operands();
    add_kept();
    add_result_cotangents();
    copy_forward();
    sweep();
    read_kept();
  }

  const std::string& original_name() const { return node_.body->name; }

  /// What the sweep reads of the forward step, where computing it again takes a product, a sum, or a transcendental
  /// function of a carry: the forward scan stacks it instead.
  std::vector<NodeId> values_to_keep() const {
    std::vector<bool> read(body_.size());
    for (size_t i = end_of_copy_; i < body_.size(); ++i) {
      for (const NodeId input : body_.nodes[i].inputs) read[input.index] = true;
    }
    for (const Output& result : body_.results) read[result.node.index] = true;
    std::vector<bool> of_carry(forward_.size()), is_costly(forward_.size());
    std::vector<NodeId> kept;
    for (uint32_t i = 0; i < forward_.size(); ++i) {
      const Node& node = forward_.nodes[i];
      if (node.op == OpKind::Argument) {
        of_carry[i] = forward_.arguments[i].role == ArgRole::Carry;
        continue;
      }
      const OpDef& op = op_def(node);
      const auto any = [&](const std::vector<bool>& of) {
        return std::ranges::any_of(node.inputs, [&](NodeId input) { return bool{of[input.index]}; });
      };
      of_carry[i] = any(of_carry);
      const bool own = !op.traits.cheap || op.kind == Kind::Reduce;
      is_costly[i] = of_carry[i] && (own || any(is_costly));
      if (!is_costly[i] || !read[map_[i].index] || op.kind == Kind::Scan) continue;
      kept.push_back({i});
      is_costly[i] = false;  // for what is computed from it
    }
    return kept;
  }

  /// The forward scan stacks what is kept, behind its other results.
  void save_kept() {
    if (kept_.empty()) return;
    for (const NodeId value : kept_) {
      const auto stacked = std::ranges::find_if(forward_.results, [&](const Output& result) {
        return result.role == ResultRole::Stacked && result.node == value;
      });
      kept_results_.push_back(static_cast<size_t>(stacked - forward_.results.begin()));
      if (stacked != forward_.results.end()) continue;
      forward_.results.push_back({fmt::format("kept_{}", value.index), ResultRole::Stacked, -1, value});
    }
    cotangents_.resize(forward_.results.size());
    outer_.graph().nodes[scan_.index].body = std::make_shared<const Graph>(forward_);
  }

  void add_kept() {
    for (size_t k = 0; k < kept_.size(); ++k) {
      const NodeId stacked = make_part(outer_, scan_, kept_results_[k]);
      kept_arguments_.push_back(
          add_argument(forward_.results[kept_results_[k]].name, ArgRole::Slice, forward_.type(kept_[k]), stacked));
    }
  }

  /// Once the sweep has gone through what computes them, kept values are read from their slices.
  void read_kept() {
    const auto from_slice = [&](NodeId id) {
      for (size_t k = 0; k < kept_.size(); ++k) {
        if (map_[kept_[k].index] == id) return kept_arguments_[k];
      }
      return id;
    };
    for (size_t i = body_.arguments.size(); i < body_.size(); ++i) {
      for (NodeId& input : body_.nodes[i].inputs) input = from_slice(input);
    }
    for (Output& result : body_.results) result.node = from_slice(result.node);
  }

  /// What the sweep is with respect to: an argument of the forward body.
  struct Wanted {
    size_t argument;     // of the forward body, and operand of the scan
    int32_t carry = -1;  // of the new body: the cotangent of a carry, or the sum for a whole operand
    NodeId before;       // the carry as the step finds it
  };

  bool is_real(size_t argument) const { return is_float(forward_.type(forward_.arguments[argument].node).dtype); }

  NodeId add_argument(const std::string& name, ArgRole role, const TensorType& type, NodeId operand) {
    inputs_.push_back(operand);
    return builder_.argument({name, role, role == ArgRole::Carry ? num_carries_++ : -1, {}}, type);
  }

  NodeId add_carry(size_t argument, NodeId start) {
    const Argument& forward = forward_.arguments[argument];
    wanted_.push_back({argument, num_carries_, {}});
    return wanted_.back().before =
               add_argument("d_" + forward.name, ArgRole::Carry, forward_.type(forward.node), start);
  }

  /// The cotangents of the carries, from the last step to the first.
  void add_carries() {
    for (size_t k = 0; k < forward_.arguments.size(); ++k) {
      const Argument& argument = forward_.arguments[k];
      if (argument.role != ArgRole::Carry || !is_real(k)) continue;
      const size_t result = carry_result(forward_, argument.ref);
      const NodeId ct = cotangents_[result];
      const NodeId carried = add_carry(k, ct.valid() ? ct : outer_.constant(0, forward_.type(argument.node)));
      seeds_.push_back({forward_.results[result].node, carried});
    }
  }

  /// What all steps add to the cotangent of a whole operand.
  void add_sums() {
    for (size_t k = 0; k < forward_.arguments.size(); ++k) {
      if (forward_.arguments[k].role == ArgRole::Whole && needed_[k] && is_real(k))
        add_carry(k, outer_.constant(0, forward_.type(forward_.arguments[k].node)));
    }
  }

  /// The forward step's own operands; its carries are those that were saved.
  void add_operands() {
    const std::vector<size_t> saved = saved_carries(forward_);
    for (size_t k = 0; k < forward_.arguments.size(); ++k) {
      const Argument& argument = forward_.arguments[k];
      const bool carried = argument.role == ArgRole::Carry;
      const NodeId operand =
          carried ? make_part(outer_, scan_, saved[static_cast<size_t>(argument.ref)]) : node_.inputs[k];
      map_[k] =
          add_argument(argument.name, carried ? ArgRole::Slice : argument.role, forward_.type(argument.node), operand);
      if (argument.role == ArgRole::Slice && needed_[k] && is_real(k)) wanted_.push_back({k, -1, {}});
    }
  }

  void add_result_cotangents() {
    for (size_t k = 0; k < forward_.results.size(); ++k) {
      const Output& result = forward_.results[k];
      if (result.role != ResultRole::Stacked || !cotangents_[k].valid()) continue;
      const NodeId ct =
          add_argument(fmt::format("ct_{}", k), ArgRole::Slice, forward_.type(result.node), cotangents_[k]);
      seeds_.push_back({result.node, ct});
    }
  }

  /// The forward step once more: what the sweep reads of it stays, the rest is dead.
  void copy_forward() {
    for (uint32_t i = static_cast<uint32_t>(forward_.arguments.size()); i < forward_.size(); ++i) {
      std::vector<NodeId> inputs;
      for (const NodeId input : forward_.nodes[i].inputs) inputs.push_back(map_[input.index]);
      map_[i] = builder_.copy(forward_.nodes[i], std::move(inputs));
    }
    end_of_copy_ = body_.size();
    for (Seed& seed : seeds_) seed.value = map_[seed.value.index];
  }

  /// The new body's results; `results_`: that of each wanted value.
  void sweep() {
    std::vector<NodeId> xs;
    for (const Wanted& wanted : wanted_) xs.push_back(map_[wanted.argument]);
    const std::vector<NodeId> gradients = reverse_sweep(builder_, {body_.size() - 1}, seeds_, xs);
    results_.clear();
    for (size_t k = 0; k < wanted_.size(); ++k) {
      const Wanted& wanted = wanted_[k];
      const Argument& argument = forward_.arguments[wanted.argument];
      const bool summed = argument.role == ArgRole::Whole;
      const NodeId value = summed ? builder_.add(wanted.before, gradients[k]) : gradients[k];
      results_.push_back(body_.results.size());
      body_.results.push_back(
          {"d_" + argument.name, wanted.carry >= 0 ? ResultRole::Carry : ResultRole::Stacked, wanted.carry, value});
    }
  }

  std::vector<NodeId> wire() {
    std::vector<NodeId> found(node_.inputs.size());
    const NodeId reversed =
        make_scan(outer_, with_saved_carries(std::move(body_)), inputs_, steps_of(node_), !is_reversed(node_));
    for (size_t k = 0; k < wanted_.size(); ++k) {
      if (needed_[wanted_[k].argument]) found[wanted_[k].argument] = make_part(outer_, reversed, results_[k]);
    }
    return found;
  }

  Builder& outer_;
  NodeId scan_;
  const Node node_;  // a copy: adding nodes moves the graph's
  Graph forward_;
  std::vector<NodeId> cotangents_;  // by result of the forward body
  const std::vector<bool>& needed_;
  Graph body_;
  Builder builder_;
  std::vector<NodeId> inputs_;  // operands of the new scan
  std::vector<NodeId> map_;     // nodes of the forward body in the new one
  std::vector<Wanted> wanted_;
  std::vector<size_t> results_;  // of the new body, by wanted value
  std::vector<Seed> seeds_;
  std::vector<NodeId> kept_;            // nodes of the forward body whose values are stacked
  std::vector<size_t> kept_results_;    // of the forward body
  std::vector<NodeId> kept_arguments_;  // of the new one
  size_t end_of_copy_ = 0;
  int32_t num_carries_ = 0;
};

}  // namespace

std::vector<NodeId> scan_cotangents(Builder& build, NodeId scan, std::span<const NodeId> cotangents,
                                    const std::vector<bool>& needed) {
  return ReversedScan(build, scan, cotangents, needed).run();
}

}  // namespace smelt
