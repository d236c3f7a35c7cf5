// What a vjp rule works with, and the rules that do not fit on a line of their record.
//
// A rule gets the cotangent of its node's result and adds cotangents of the operands. Every rule is built
// from primitive ops, so that its output can be differentiated again.
//
// Masked cotangents stay masked: the cotangent of a branch of `select` is `select(c, ct, 0)`, and `times` and
// `over` multiply inside of it, `select(c, ct * f, 0)`. So an infinite or undefined factor in the branch that
// was not taken (log or sqrt at 0) does not turn the 0 into NaN. `moved` takes the mask along a reshape, a transpose or
// a repetition; a sum over masked values ends it.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "ir/builder.h"

namespace smelt {

class Vjp {
 public:
  /// `ct` has the type of node `id`; needed[i] tells whether operand i leads to a value that is asked for.
  Vjp(Builder& builder, NodeId id, NodeId ct, std::vector<bool> needed);

  Builder& build() { return builder_; }
  const Node& node() const { return node_; }
  const Attributes& attrs() const { return node_.attrs; }
  NodeId operand(size_t i) const { return node_.inputs[i]; }
  const TensorType& type(size_t i) const { return builder_.type(node_.inputs[i]); }
  NodeId result() const { return id_; }
  NodeId ct() const { return ct_; }

  bool needs(size_t i) const { return needed_[i]; }
  /// Adds `ct`, of operand i's type, to the operand's cotangent. May be called more than once an operand.
  void add(size_t i, NodeId ct);

  NodeId times(NodeId ct, NodeId factor);                              // ct * factor
  NodeId times(NodeId ct, double factor);                              // ct * factor
  NodeId over(NodeId ct, NodeId divisor);                              // ct / divisor
  NodeId negated(NodeId ct);                                           // -ct
  NodeId moved(NodeId ct, const std::function<NodeId(NodeId)>& move);  // `move` of ct: it changes places, not values
  NodeId where(NodeId condition, NodeId ct);                           // ct where condition, else 0
  NodeId unless(NodeId condition, NodeId ct);                          // 0 where condition, else ct

  /// Cotangent of each operand; an invalid id stands for zero.
  const std::vector<NodeId>& cotangents() const { return cotangents_; }

 private:
  NodeId masked(NodeId condition, NodeId ct, bool inverted);

  Builder& builder_;
  Node node_;  // a copy: adding nodes moves the graph's
  NodeId id_;
  NodeId ct_;
  std::vector<bool> needed_;
  std::vector<NodeId> cotangents_;
};

/// a + b for cotangents; two selects of one condition against zero add up inside.
NodeId add_cotangents(Builder& builder, NodeId a, NodeId b);
/// The value of a constant node.
std::optional<double> constant_value(const Graph& graph, NodeId id);

namespace vjp_rules {

/// For ops that are constant almost everywhere, and for integers.
inline void none(Vjp&) {}

void pow(Vjp& v);
void max(Vjp& v);  // ties go to the first operand
void min(Vjp& v);
void select(Vjp& v);
void cast(Vjp& v);  // float to float only
void reduce_sum(Vjp& v);
void reduce_extremum(Vjp& v);  // equal shares among ties
void contract(Vjp& v);
void read(Vjp& v);
void broadcast(Vjp& v);
void transpose(Vjp& v);
void reshape(Vjp& v);
void slice(Vjp& v);
void pad(Vjp& v);
void gather(Vjp& v);
void scatter_add(Vjp& v);
void put_rows(Vjp& v);

}  // namespace vjp_rules
}  // namespace smelt
