// Index formulas: `y[n, o, i < Ho] = sum[c < C, u < k] x?[n, c, i*s + u - p] * w[o, c, u]`.
//
// While a formula is computed each of its indices is an axis of its own: what is read inside has the indices as its
// axes, elementwise operations align them by name, and `sum[..]` and the like remove them again. Products under a `sum`
// become contractions of two operands that are read where the formula says (ir/index_formula.h).
//
// Members are defined in formula.cpp, those of what stands in brackets in formula_positions.cpp, formula_computed.cpp
// and formula_run_time_parts.cpp, those of reductions in formula_sums.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "frontend/value.h"
#include "ir/index_formula.h"

namespace smelt {

class SourceMap;
class Diagnostics;

namespace frontend {

class Scopes;
class Shapes;
class GraphWriter;
class Signatures;
class Evaluator;
class Scans;

struct FormulaIndex {
  std::string name;
  DimId dim = kAnonymous;  // of the axis while the formula is computed
  Axis axis;               // what it is outside: `i < Ho` is Ho, `i < 7` has no name
  bool stated = false;     // by `<`, not by an operand's axis
};

/// A tensor that is read at affine functions of the open indices (their places in Frame::indices).
struct FormulaRead {
  Tensor base;
  std::vector<Affine> axes;
  bool bounded = false;  // `?[..]`
};

class Formulas {
 public:
  Formulas(const SourceMap& sources, Scopes& scopes, Shapes& shapes, GraphWriter& graph, Signatures& signatures,
           Evaluator& evaluator, Scans& scans, Diagnostics& diagnostics)
      : sources_(sources),
        scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        signatures_(signatures),
        evaluator_(evaluator),
        scans_(scans),
        diagnostics_(diagnostics) {}

  /// The right side of `y[i < n, ..] = e`, with one axis for each index.
  Value assigned(const ast::AssignStmt& stmt, Span span);
  /// `sum[c < C] e` and the like, without the axes of their indices.
  Value reduced(const ast::ReduceExpr& reduce, Span span);
  /// Whether `x[..]` reads at indices of a formula.
  bool is_access(const ast::IndexExpr& access) const;
  Value accessed(const ast::IndexExpr& access, Span span);
  /// An index as a number: 0, 1, .. along its own axis.
  std::optional<Value> index_value(std::string_view name, Span span);

 private:
  bool open(const std::vector<ast::IndexBinder>& binders, ast::ExprId body);
  std::optional<Axis> axis_read_at(ast::ExprId expr, std::string_view index, bool bounded, bool& told);
  int32_t find(std::string_view name) const;
  bool mentions_index(ast::ExprId expr) const;

  std::optional<Affine> affine(ast::ExprId expr);
  bool is_affine(ast::ExprId expr, bool& told);
  Value position_value(ast::ExprId expr);
  /// `outside`: what is read of a run-time axis where a `?[..]` lies outside.
  std::optional<FormulaRead> read_of(const ast::IndexExpr& access, Span span, double outside = 0);
  std::optional<Value> data_index(const Tensor& base, size_t axis, ast::ExprId index);
  struct ComputedPosition {
    size_t axis = 0;
    Value value;
    ast::ExprId expr;
  };
  std::optional<Tensor> labels_along(const Tensor& x, const ComputedPosition& position);
  bool take_computed(FormulaRead& read, std::vector<ComputedPosition> computed, std::vector<ast::ExprId>& positions);
  struct AxisLabels {
    size_t axis = 0;
    Tensor rows;
    ast::ExprId expr;
  };
  using Labels = std::vector<AxisLabels>;
  std::optional<Tensor> joined_label(const Labels& labels, const std::vector<int64_t>& sizes, int64_t all, Span span);
  bool join_labels(FormulaRead& read, Labels& labels, std::vector<ast::ExprId>& positions);
  bool take_rows(FormulaRead& read, size_t axis, const Tensor& rows, Span span);
  bool take_one_of_axis(FormulaRead& read, size_t axis, const Tensor& rows, const FormulaRead& places, Span span);
  bool take_in_batch(FormulaRead& read, size_t axis, const Tensor& rows, const FormulaRead& places, Span span);
  struct AxisPart {
    Axis axis;
    bool inside = false;  // whatever the sizes are
  };
  std::optional<AxisPart> run_time_part(const Affine& position, const Axis& from, bool bounded) const;
  bool is_stated(const Affine& position) const;
  void take_run_time_parts(FormulaRead& read, std::vector<ast::ExprId>& positions, double outside);
  bool check_run_time_axis(const Affine& position, const Axis& axis, Span span);
  bool check_bounds(FormulaRead& read, const std::vector<ast::ExprId>& positions);
  Value value_of(const FormulaRead& read, double outside, Span span);
  std::optional<FormulaRead> as_read(const Tensor& value, Span span);

  struct Factor {
    FormulaRead read;
    Span span;
  };
  struct Product {
    std::vector<Factor> factors;
    std::vector<Value> scalars;
  };
  bool collect(ast::ExprId expr, Product& product);
  Value sum_of_product(ast::ExprId body, int32_t first, Span span);
  std::optional<FormulaRead> summed_alone(const FormulaRead& read, const std::vector<int32_t>& over, Span span);
  std::optional<FormulaRead> joined(const Factor& a, const Factor& b, const std::vector<int32_t>& over, Span span);
  Value extremum(std::string_view op, ast::ExprId body, int32_t first, Span span);
  Value reduce_axes(std::string_view op, const Value& value, const std::vector<int32_t>& over, Span span);
  Value to_the_power_of_others(const Tensor& product, const Axes& read, const std::vector<int32_t>& over, Span span);
  Value product_along(Tensor value, size_t axis, Span span);

  std::vector<int32_t> indices_of(const FormulaRead& read) const;
  IndexFormula formula_of(const std::vector<int32_t>& kept, const std::vector<int32_t>& summed,
                          std::initializer_list<const FormulaRead*> reads) const;
  Axes axes_of(const std::vector<int32_t>& indices) const;

  const SourceMap& sources_;
  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Signatures& signatures_;
  Evaluator& evaluator_;
  Scans& scans_;
  Diagnostics& diagnostics_;
};

}  // namespace frontend
}  // namespace smelt
