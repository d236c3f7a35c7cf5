// Evaluates a model file: compile-time values are computed, tensor expressions become nodes of the graph at
// hand.
//
// A body is evaluated once for each function that calls it (a step, an evaluation, a metric, an export). What
// outlives one evaluation is here: dims, layer instances, variables, run-time scalars. Members are defined by
// topic in names.cpp, dims.cpp, align.cpp, contract.cpp, fold.cpp, gradient.cpp, values.cpp, expressions.cpp,
// statements.cpp, calls.cpp, batches.cpp, layers.cpp, adjoint.cpp, distributions.cpp, selectors.cpp, data.cpp,
// functions.cpp, optimisers.cpp and train.cpp.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "frontend/build_experiment.h"
#include "frontend/frame.h"
#include "frontend/function_context.h"
#include "frontend/library.h"
#include "frontend/value.h"
#include "ir/builder.h"
#include "ir/philox.h"

namespace smelt::frontend {

using Args = std::vector<ArgValue>;

class Elaborator {
 public:
  Elaborator(SourceMap& sources, const Library& library, FileScope& file, const FrontendOptions& options,
             Diagnostics& diagnostics)
      : sources_(sources), library_(library), file_(file), options_(options), diagnostics_(diagnostics) {}

  std::optional<Experiment> run();

  // ---- what intrinsic functions use ----
  Diagnostic& error(Diag code, Span span, std::string message) {
    return diagnostics_.report(code, span, std::move(message));
  }
  Value unsupported(Span span, std::string_view what);
  FunctionContext& context() { return *context_; }
  Builder& graph() { return context_->builder; }
  DType real() const { return experiment_.precision == DType::F64 ? DType::F64 : DType::F32; }

  std::string describe(const Value& value) const;
  std::string type_text(DType dtype, const Axes& axes, DimId label = kAnonymous) const;
  std::string type_text(const Tensor& t) const { return type_text(t.dtype, t.axes, t.label); }
  std::string axes_text(const Axes& axes) const;
  std::string axis_text(const Axis& axis) const;
  std::string sized_text(const Axis& axis) const;  // `Pixel (784)`, `784`

  std::optional<double> number_of(const Value& value) const;  // compile-time; static dims included
  std::optional<int64_t> expect_integer(const Value& value, Span span, std::string_view what);
  std::optional<bool> expect_bool(const Value& value, Span span, std::string_view what);
  std::optional<Tensor> expect_tensor(const Value& value, Span span, std::optional<DType> literal_dtype = {});
  std::optional<Tensor> expect_float(const Value& value, Span span);
  std::optional<Axes> expect_axes(const Value& value, Span span);   // `over=`
  std::optional<Axes> expect_shape(const Value& value, Span span);  // `[64, 28]`
  std::optional<std::vector<int64_t>> find_axes(const Tensor& x, const Axes& over, Span span);
  bool unify(const Axis& a, const Axis& b) const;
  /// What to do with a float tensor that meets labels: where it has a number for each label, the argmax was forgotten.
  /// Empty for other tensors.
  std::string label_help(const Tensor& a, const Tensor& b) const;
  Axis axis_of(DimId dim) const { return {dim, dims_[static_cast<size_t>(dim)].extent}; }
  bool check_size(DType dtype, const Axes& axes, Span span);
  bool in_field() const { return frame_->around.field != nullptr; }

  Tensor tensor(NodeId node, Axes axes);
  Tensor constant(double value, DType dtype, const Axes& axes);
  Tensor expand(const Tensor& x, const Axes& axes, const std::vector<int64_t>& places);
  std::optional<Tensor> broadcast_to(const Tensor& x, const Axes& axes, Span span);
  std::optional<Tensor> cast_to(const Tensor& x, DType dtype, Span span);
  /// Operands of one elementwise operation, of equal dtype and axes.
  std::optional<std::vector<Tensor>> align(std::vector<Value> values, Span span, std::string_view what);
  Value elementwise(OpKind op, std::vector<Value> operands, Span span, std::string_view what);
  bool refuse_all_pairs(const Tensor& a, const Tensor& b, Span span, std::string_view what);
  /// Operands of a loss or a density, whose axes are the same; `draws`: one may have more in front.
  bool same_axes(const Value& a, const Value& b, Span span, std::string_view what, bool draws);
  Span call_site(Span span);
  std::string_view running_function() const;
  Value binary(ast::BinaryOp op, const Value& a, const Value& b, Span span);
  Value push_contraction(const Tensor& a, const Tensor& b, IndexFormula formula, Axes axes, Span span);
  Value contract(const Tensor& a, const Tensor& b, const Axes& over, Span span);
  Value reduce(OpKind op, const Value& x, const Value* over, Span span);
  Value gather(const Tensor& table, const Tensor& index, Span span);

  Value draw_site(const Distribution& dist, const std::string& name, Span span);
  Value sample(const Distribution& dist, const Axes& axes, const std::string& path, Span span);
  Axes distribution_axes(const Distribution& dist, Span span);
  Value axes_of_value(const Value& value, Span span);
  Value distribution_function(std::string_view function, const Value& dist, std::vector<Value> args, Span span);
  Value make_distribution(DistKind kind, std::vector<Value> params, bool by_logvar, Span span);

  Value gradient(const Value& y, const Value& x, Span span);
  Value directional_derivative(const Value& y, const Value& x, const Value& v, Span span);
  Value penalty(const Value& what, bool squared, Span span);
  Value field_column(int32_t field, Span span);
  Value call(const Value& callee, Args args, Span span, std::string_view name);
  Value call_library(std::string_view fn, std::vector<Value> args, Span span);
  Tensor scalar_argument(int32_t scalar);
  int32_t scalar_input(const std::string& name, ScalarKind kind, double initial, int32_t ref);

 private:
  // ---- names.cpp ----
  Value name_value(const std::string& name, Span span, ast::ExprId expr, const Naming& naming = {});
  Binding* find_local(std::string_view name);
  Value binding_value(const Binding& binding);
  void bind(const ast::Ident& name, Value value, int32_t variable = -1, bool writable = false);
  Value decl_value(const FileScope& scope, const Decl& decl, Span span, ast::ExprId expr, const Naming& naming);
  std::pair<const FileScope*, Decl> find_decl(const FileScope& from, std::string_view name) const;
  Value global(std::string_view name, Span span, const std::function<Value()>& compute);
  Value config_value(const ast::ConfigDecl& decl);
  Value const_value(const ast::ConstDecl& decl);
  void set_config();
  Value unknown_name(const std::string& name, Span span);

  // ---- dims.cpp ----
  DimId new_dim(std::string name, Extent extent, Span span, bool runtime = false);
  Value declare_dim(const ast::DimDecl& decl, bool top_level);
  Value size_value(const ast::DimDecl& decl);
  std::optional<Axis> axis_expression(ast::ExprId expr);
  std::optional<Axes> axes_expression(const std::vector<ast::DimItem>& items);
  std::optional<DType> dtype_of(const ast::Type& type, DimId* label);
  bool bind_head(ast::TypeId type, Value& value, Span span, const ast::Ident& param, std::string_view callee);
  bool bind_axis(const ast::DimItem& item, Axis& axis, Span span, std::string& why);
  bool check_result(ast::TypeId type, Value& value, Span span, std::string_view what);
  bool match_axes(const ast::Type& type, const std::vector<Axis>& axes,
                  std::vector<std::pair<const ast::DimItem*, size_t>>& places, size_t& rest);
  std::optional<Axis> head_axis(const ast::DimItem& item);
  Value to_outside(Value value, const Frame& inner);
  void outside_axes(Axes& axes, const Frame& inner) const;
  std::string declared_text(ast::TypeId type) const;

  // ---- expressions.cpp ----
  Value eval(ast::ExprId id, const Naming& naming = {});
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
  Value apply_stage(ast::ExprId stage, Value value, Span value_span, const Naming& naming, Span span);
  Value fold(ast::BinaryOp op, const Value& a, const Value& b, Span span);
  Value matmul(const Value& a, const Value& b, Span span);
  Value index_tensor(const Tensor& x, const ast::IndexExpr& e, Span span);
  void warn_of_zero(const Value& a, const Value& b, Span span);
  std::optional<Args> eval_args(const std::vector<ast::Arg>& args);
  const ast::Ast& ast() const { return frame_->scope->ast; }
  Span span_of(ast::ExprId id) const { return ast()[id].span; }

  // ---- statements.cpp ----
  Value eval_block(const ast::Block& block, const Naming& naming = {});
  Value eval_body(const ast::Body& body);
  bool execute(const ast::Stmt& stmt, Value& result, const Naming& naming = {});
  void execute_param(const ast::ParamStmt& stmt, Span span);
  void execute_state(const ast::StateStmt& stmt);
  void execute_assign(const ast::AssignStmt& stmt, const Naming& naming, Span span);
  void execute_draw(const ast::DrawStmt& stmt, const Naming& naming);
  void execute_write(const ast::WriteStmt& stmt, const Naming& naming);
  void execute_report(const ast::ReportStmt& stmt, const Naming& naming);
  void execute_assert(const ast::AssertStmt& stmt);
  std::string interpolate(const std::string& text);

  // ---- calls.cpp ----
  struct ParamSpec {
    std::string name;
    bool required = true;
  };
  std::optional<std::vector<std::optional<ArgValue>>> match_args(std::string_view callee,
                                                                 const std::vector<ParamSpec>& specs, Args args,
                                                                 Span span);
  Value call_fn(const FileScope& scope, const ast::FnDecl& decl, Args args, Span span);
  Value call_intrinsic(const Intrinsic& intrinsic, Args args, Span span);
  Value with_adjoint(const ast::FnDecl& decl, const Value& value);
  std::optional<std::vector<Value>> vjp_values(const ast::FnDecl& decl, const Tensor& result, const Tensor& ct);
  std::optional<Tensor> parameter_cotangent(const ast::FnDecl& decl, const ast::Param& param, const Value& argument,
                                            const Value& value);
  std::string call_path(const std::string& segment);

  // ---- gradient.cpp ----
  std::optional<std::pair<Tensor, Tensor>> derivative_operands(const Value& y, const Value& x, Span span);
  void report_coupling(NodeId coupling, Span span);

  // ---- layers.cpp ----
  Value layer_occurrence(const FileScope& scope, const ast::LayerDecl& decl, const std::vector<ast::Arg>* attributes,
                         ast::ExprId name_expr, const Naming& naming, Span span);
  LayerInstance* new_instance(const FileScope& scope, const ast::LayerDecl& decl, std::string path,
                              std::string site_name, Span span);
  bool bind_attributes(LayerInstance& instance, const std::vector<ast::Arg>* attributes, Span span);
  std::string occurrence_path(const std::string& segment, bool named_by_repeat) const;
  std::string occurrence_segment(const ast::LayerDecl& decl, ast::ExprId name_expr, const Naming& naming);
  void number_occurrences(LayerInstance& parent);
  Value call_layer(LayerInstance& instance, Args args, Span span);
  void check_first_call(LayerInstance& instance, Span span);
  Value model_value(const ast::ModelDecl& decl);

  // ---- variables.cpp ----
  int32_t find_variable(const std::string& path) const;
  std::optional<int32_t> declare_variable(VariableKind kind, const std::string& path, const Tensor& type,
                                          ast::ExprId init, bool random, Span span);
  Tensor variable_value(int32_t variable, const Axes& axes);
  NodeId variable_node(int32_t variable);
  void write_variable(int32_t variable, const Tensor& value);
  Value initial_value(const std::string& path, const Tensor& type, ast::ExprId init, bool random, Span span);
  NodeId seed_argument();
  NodeId run_argument();

  // ---- selectors.cpp ----
  Value member_value(ast::ExprId id, const Naming& naming);
  std::optional<Selector> eval_selector(ast::ExprId id);
  bool selector_path(ast::ExprId id, std::string& path);

  // ---- data.cpp ----
  void find_data();
  void check_data_sections();
  std::optional<Tensor> field_value(const std::string& name, Span span, const Axis& batch);
  struct AffineColumn;
  std::optional<AffineColumn> affine_column(NodeId id);
  void state_range(const ast::FieldDecl& decl, const Tensor& value, const Range& range);
  std::optional<Tensor> convert_field(const ast::FieldDecl& decl, Value value, const Axis& batch);
  void read_columns();
  bool is_batch_axis(const Axis& axis);
  bool bind_data_params(const std::vector<ast::Param>& params, std::string_view what);

  // ---- functions.cpp ----
  void discover();
  void build_objectives();
  void build_others();
  void build_init();
  void declare_objectives();
  template <typename F>
  int32_t build_function(FunctionKind kind, const std::string& name, bool training, Span span, F body);
  std::optional<Tensor> objective_loss(const ast::ObjectiveDecl& decl);
  void build_step(size_t index);
  void build_loss(size_t index);
  void build_metric(const ast::FnDecl& decl);
  void combine_batches(int32_t index, Span span);
  void find_couplings(int32_t index);
  void build_export(const ast::FnDecl& decl);
  void build_sample(const ast::FnDecl& decl, int32_t export_index);
  void find_updates(size_t index);
  void resolve_sites();

  // ---- optimisers.cpp ----
  struct StepLine {
    const ast::StepItem* item = nullptr;
    const FileScope* scope = nullptr;
    const ast::OptimiserDecl* optimiser = nullptr;
    Span span;
    std::map<std::string, ast::ExprId> options;
  };
  void read_step_lines();
  void read_optimiser(StepLine& line);
  std::vector<std::string> optimiser_names() const;
  void check_dependent_options(const StepLine& line, std::string_view optimiser);
  Value step_option(const std::string& name, ast::ExprId expr, size_t objective, const Surroundings& around);
  bool is_schedule(const ast::FnDecl& decl) const;
  Value setting(const std::string& name, double value);
  void update_parameters(size_t index, const Tensor& loss);
  void update_parameter(size_t index, const StepLine& line, int32_t variable, Tensor gradient, bool decays,
                        const std::map<std::string, Value>& options);
  void clip_gradients(std::vector<Tensor>& gradients, const std::map<std::string, Value>& options, Span span);
  void check_option_ranges(const std::string& name, double value, Span span);

  // ---- train.cpp ----
  void read_precision();
  void train_precision(const ast::PrecisionItem& item);
  std::optional<Tensor> reported(const Tensor& number, Span span);
  void build_train();
  void train_batch(const ast::BatchItem& item);
  void train_number(const ast::NumberItem& item);
  void train_loop(const ast::LoopItem& item);
  void train_every(const ast::EveryItem& item, Span span);
  void image_action(const ast::OutputAction& action, Action& out, Span span);
  void checkpoint_action(const ast::CheckpointAction& action, Action& out);
  void eval_action(const ast::EvalAction& action, Action& out);
  void stop_condition(const ast::StopItem& item);
  int32_t find_objective(std::string_view name) const;
  std::vector<std::string> eval_names() const;
  void warn_idle_objectives();
  bool mentions(ast::ExprId expr, std::string_view name) const;

  SourceMap& sources_;
  const Library& library_;
  FileScope& file_;
  const FrontendOptions& options_;
  Diagnostics& diagnostics_;

  Experiment experiment_;
  std::vector<Dim> dims_;
  std::map<std::string, Value, std::less<>> globals_;      // values of the file's declarations
  std::unordered_map<std::string, int32_t> variable_ids_;  // by path
  std::set<std::string, std::less<>> computing_;           // declarations whose value is being computed
  std::map<std::string, Value> config_;                    // after --set
  std::map<std::string, std::unique_ptr<LayerInstance>> models_;
  const ast::DataDecl* data_ = nullptr;
  const ast::TrainDecl* train_ = nullptr;
  std::vector<Column> probed_;
  bool data_failed_ = false;                   // a file was reported: nothing more is said of columns
  std::vector<StepLine> step_lines_;           // by objective
  std::vector<std::vector<int32_t>> updates_;  // by objective: everything its selectors match

  std::deque<std::unique_ptr<FunctionContext>> contexts_;
  std::vector<std::pair<int32_t, Span>> in_batches_;  // losses and metrics, with the places of their names
  FunctionContext* context_ = nullptr;
  std::unique_ptr<FunctionContext> init_;
  uint32_t next_graph_ = 1;
  std::vector<Site> sites_;
  Frame* frame_ = nullptr;
  int depth_ = 0;
  bool trial_ = false;  // functions are built to find all parameters, and thrown away
  int32_t rows_symbol_ = -1;
  int num_images_ = 0;
  bool too_large_ = false;  // a graph is over its limit: nothing more is built
};

/// A function the compiler provides: its parameters as text (`x, over=`: optional ones end in `=`) and its
/// meaning.
struct Call {
  Elaborator& e;
  std::vector<std::optional<ArgValue>> args;
  Span span;
  std::string_view name;

  bool has(size_t i) const { return args[i].has_value(); }
  const Value& value(size_t i) const { return args[i]->value; }
  Span span_of(size_t i) const { return args[i]->span; }
};
struct Intrinsic {
  std::string_view name;
  std::string_view params;
  std::string_view doc;
  Value (*evaluate)(Call&);
  bool in_fields_only = false;  // stands in the fields of a data section
};
const Intrinsic* find_intrinsic(std::string_view name);
std::vector<std::string_view> intrinsic_names();

/// Names that are known everywhere: true, inf, f32.
std::optional<Value> builtin_constant(std::string_view name);

}  // namespace smelt::frontend
