// Evaluates expressions and statements. Members are defined in expressions.cpp and statements.cpp, those of `x[a .. b]`
// and of sizes in parts.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "frontend/graph_writer.h"

namespace smelt {

class SourceMap;
struct Limits;
class Diagnostics;

namespace frontend {

class Scopes;
class Shapes;
class GraphWriter;
class Names;
class Signatures;
class Variables;
class Calls;
class Layers;
class Selectors;
class Distributions;
class Formulas;
class Scans;

class Evaluator {
 public:
  Evaluator(const SourceMap& sources, Scopes& scopes, Shapes& shapes, GraphWriter& graph, Names& names,
            Signatures& signatures, Variables& variables, Calls& calls, Layers& layers, Selectors& selectors,
            Distributions& distributions, Formulas& formulas, Scans& scans, Diagnostics& diagnostics,
            const Limits& limits)
      : sources_(sources),
        scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        names_(names),
        signatures_(signatures),
        variables_(variables),
        calls_(calls),
        layers_(layers),
        selectors_(selectors),
        distributions_(distributions),
        formulas_(formulas),
        scans_(scans),
        diagnostics_(diagnostics),
        limits_(limits) {}

  Value eval(ast::ExprId id, const Naming& naming = {});
  Value eval_block(const ast::Block& block, const Naming& naming = {});
  /// The same, but names stay bound afterwards: the type of a body's result may name dims of the body.
  Value eval_statements(const ast::Block& block, const Naming& naming = {});
  Value eval_body(const ast::Body& body);
  /// Whether `expr` is arithmetic that has a run-time dim in them.
  bool has_run_time_dim(ast::ExprId expr);
  bool has_bad_name(ast::ExprId expr);
  /// A whole number, or `T - 2` of a run-time dim T. Other values are reported; `what` is what the number is for.
  std::optional<Size> whole_number(ast::ExprId expr, std::string_view what);
  /// The extent of a size that has a run-time dim in it, such as `T - 1`.
  std::optional<Extent> run_time_extent(ast::ExprId expr);
  /// `T - 1` as a position along an axis of x, a scalar.
  Value position_from_end(ast::ExprId index, const Tensor& x, size_t at);
  std::optional<Args> eval_args(const std::vector<ast::Arg>& args);
  /// False when the statement had an error. `result` is the value of an expression that stands alone.
  bool execute(const ast::Stmt& stmt, Value& result, const Naming& naming = {});

 private:
  Value eval_node(const ast::NumberExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::StringExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::NameExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::TupleExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::ListExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::UnaryExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::BinaryExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::CallExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::AttrExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::IndexExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::MemberExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::AsExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::PipeExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::RepeatExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::ScanExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::IfExpr& e, ast::ExprId id, const Naming& naming);
  Value eval_node(const ast::ReduceExpr& e, ast::ExprId id, const Naming& naming);
  Value apply_repeat(const ast::RepeatExpr& e, Value value, const std::string& label, const Naming& naming, Span span);
  Value apply_body_end(ast::ExprId end, Value value, const Naming& naming, Span span);
  Value apply_stage(ast::ExprId stage, Value value, Span value_span, const Naming& naming, Span span);
  Value index_tensor(const Tensor& x, const ast::IndexExpr& e, Span span);
  std::optional<Size> sum_of_dims(const ast::BinaryExpr& e, std::string_view what);
  struct AxisPart;
  std::optional<AxisPart> axis_part(ast::ExprId index, const Tensor& x, size_t at);
  std::optional<AxisPart> checked_part(AxisPart part, const Axis& axis, Span span);
  Value parts_of(const Tensor& x, const std::vector<AxisPart>& parts, Span span);
  NodeId rows_from(const AxisPart& part);
  void warn_of_rounding(ast::ExprId operand, const Naming& naming);
  void warn_of_zero(const Value& a, const Value& b, Span span);

  void execute_param(const ast::ParamStmt& stmt, Span span);
  void execute_state(const ast::StateStmt& stmt);
  void execute_assign(const ast::AssignStmt& stmt, const Naming& naming, Span span);
  void execute_draw(const ast::DrawStmt& stmt, const Naming& naming);
  void execute_write(const ast::WriteStmt& stmt, const Naming& naming);
  void execute_report(const ast::ReportStmt& stmt, const Naming& naming);
  void execute_assert(const ast::AssertStmt& stmt);
  std::string interpolate(const std::string& text, const std::vector<ast::ExprId>& shown);
  std::string shown_text(const Value& value);

  const SourceMap& sources_;
  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Names& names_;
  Signatures& signatures_;
  Variables& variables_;
  Calls& calls_;
  Layers& layers_;
  Selectors& selectors_;
  Distributions& distributions_;
  Formulas& formulas_;
  Scans& scans_;
  Diagnostics& diagnostics_;
  const Limits& limits_;
  uint64_t depth_ = 0;  // calls and expressions inside each other
};

}  // namespace frontend
}  // namespace smelt
