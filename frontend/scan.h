// Loops over steps: `scan t < T with h = e { h <- .. x[t] ..; yield y }`.
//
// The body is written into the graph at hand, where carries, slices and the number of the step are placeholders. When
// it ends, the nodes that its results need move into the body of a `scan` node (ir/scan.h); what was computed before is
// an operand that every step sees. Members are defined in scan.cpp, those of what a body reads in scan_reads.cpp.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "frontend/frame.h"
#include "ir/affine.h"
#include "ir/example_axis.h"

namespace smelt {

class Diagnostics;

namespace frontend {

class Scopes;
class Shapes;
class GraphWriter;
class Signatures;
class Distributions;
class Evaluator;
struct FunctionContext;

/// A scan whose body is being evaluated.
struct OpenScan {
  struct Operand {
    NodeId outside, inside;
  };
  struct Carry {
    std::string name;
    Tensor start;
    NodeId inside, next;
  };
  Axis steps;
  uint32_t begin = 0;  // the first node of the body
  NodeId index;        // the number of the step
  std::vector<Carry> carries;
  std::vector<Operand> slices;
  bool yields = false, as_tuple = false;
  bool mistaken = false;  // a carry was written with a value of which a mistake was reported
  std::vector<Tensor> yielded;
  NodeId until;  // not valid: all steps run; else a bool, of what a step leaves
};

class Scans {
 public:
  Scans(Scopes& scopes, Shapes& shapes, GraphWriter& graph, Signatures& signatures, Distributions& distributions,
        Evaluator& evaluator, Diagnostics& diagnostics)
      : scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        signatures_(signatures),
        distributions_(distributions),
        evaluator_(evaluator),
        diagnostics_(diagnostics) {}

  Value evaluated(const ast::ScanExpr& scan, Span span);
  /// `h <- e` of a carry.
  void write(Binding& carry, const ast::WriteStmt& stmt, const Value& value);
  void yield(const ast::YieldStmt& stmt, Span span);
  /// The scan whose number of the step `index` is, or null.
  OpenScan* scan_of(const Tensor& index);
  bool is_open() const { return !open_.empty(); }
  /// Whether x is the same in all steps of the innermost open scan.
  bool is_same_in_steps(const Tensor& x) const { return is_open() && !varies(*open_.back(), x.node); }
  /// The least and the greatest whole number that a scalar of open scans can be: numbers of steps, and what is made of
  /// them. Nullopt: it depends on something else.
  std::optional<IndexRange> range_of(NodeId scalar, int depth = 0) const;
  /// `x[t]`: the slice of the axis of x that is the scan's.
  Value sliced(const Tensor& x, OpenScan& scan, Span span);
  /// `x[n, t, c]` or `x[n, t + 1, c]` at a step: the slice of that axis, without it. Nullopt: `position` is nothing of
  /// the kind, it may lie outside, or x is made in the body.
  std::optional<Tensor> slice_at_step(const Tensor& x, size_t axis, const Tensor& position, Span span);

 private:
  /// Of `t + 1` the scan and 1.
  std::optional<std::pair<OpenScan*, int64_t>> step_of(const Tensor& position);
  Tensor slice_along(const Tensor& x, size_t axis, OpenScan& scan, Span span);
  bool begin(OpenScan& scan, const ast::ScanExpr& e, Span span);
  void read_until(OpenScan& scan, ast::ExprId until);
  bool refuse_effects(const FunctionContext& before, Span span);
  std::optional<size_t> axis_of_steps(const Tensor& x, const OpenScan& scan, Span span);
  bool varies(const OpenScan& scan, NodeId node) const;
  NodeId placeholder(const TensorType& type);
  void move_draws(OpenScan& scan);
  /// `sums`: what becomes of those of the graph around.
  Graph body_of(const OpenScan& scan, std::vector<NodeId>& operands, ExampleSums& sums);
  int32_t carry_until(OpenScan& scan);
  Value close(OpenScan& scan, const ast::ScanExpr& e, Span span);

  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Signatures& signatures_;
  Distributions& distributions_;
  Evaluator& evaluator_;
  Diagnostics& diagnostics_;
  std::vector<OpenScan*> open_;
};

}  // namespace frontend
}  // namespace smelt
