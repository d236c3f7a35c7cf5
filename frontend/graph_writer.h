// Writes nodes of the function at hand: tensors that meet, contractions, reductions, and the arguments of the function.
// Members are defined by topic in graph_writer.cpp, align.cpp, contract.cpp, fold.cpp and
// positions.cpp.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontend/function_context.h"
#include "frontend/scopes.h"
#include "frontend/shapes.h"

namespace smelt {

struct Experiment;
struct Limits;
class Diagnostics;

namespace frontend {

class Scopes;
class Shapes;

/// Nothing is evaluated here: operands are values.
class GraphWriter {
 public:
  GraphWriter(Experiment& experiment, Scopes& scopes, Shapes& shapes, Diagnostics& diagnostics, const Limits& limits)
      : experiment_(experiment), scopes_(scopes), shapes_(shapes), diagnostics_(diagnostics), limits_(limits) {}

  FunctionContext& context() const { return *context_; }
  /// Nodes are those of `next` while the result lives.
  [[nodiscard]] Entered<FunctionContext> enter(FunctionContext& next) {
    next.function.graph.symbols = experiment_.symbols;  // messages of the graph name run-time dims
    return {context_, next};
  }
  Builder& builder() const { return context_->builder; }
  DType real() const { return experiment_.precision == DType::F64 ? DType::F64 : DType::F32; }
  /// Whether parameters were read of which no layer has been applied yet, since the last question.
  bool missed_parameters() { return std::exchange(missed_parameters_, false); }
  bool is_too_large() const { return too_large_; }  // a graph is over its limit: nothing more is built

  /// Tells of a function that turns of a `repeat` will make too large, before they are built.
  void check_number_of_nodes(const FunctionContext& function, size_t nodes, Span span);

  Tensor tensor(NodeId node, Axes axes);
  Tensor constant(double value, DType dtype, const Axes& axes);
  std::optional<Tensor> expect_tensor(const Value& value, Span span, std::optional<DType> literal_dtype = {});
  std::optional<Tensor> expect_float(const Value& value, Span span);

  Tensor expand(const Tensor& x, const Axes& axes, const std::vector<int64_t>& places);
  std::optional<Tensor> broadcast_to(const Tensor& x, const Axes& axes, Span span);
  std::optional<Tensor> cast_to(const Tensor& x, DType dtype, Span span);
  std::optional<Tensor> reported(const Tensor& number, Span span);
  /// Operands of one elementwise operation, of equal dtype and axes.
  std::optional<std::vector<Tensor>> align(std::vector<Value> values, Span span, std::string_view what,
                                           Meeting meeting = Meeting::Plain);
  bool refuse_all_pairs(const Tensor& a, const Tensor& b, Span span, std::string_view what);
  static std::string alignment_help(const Tensor& a, const Tensor& b);
  /// Operands of a loss or a density, whose axes are the same; `draws`: one may have more in front.
  bool same_axes(const Value& a, const Value& b, Span span, std::string_view what, bool draws);

  /// The place of the user's call when the body at hand is the library's.
  Span call_site(Span span);

  Value elementwise(OpKind op, std::vector<Value> operands, Span span, std::string_view what);
  Value binary(ast::BinaryOp op, const Value& a, const Value& b, Span span);
  Value remainder(const Value& a, const Value& b, Span span);
  void refuse_labels(const Tensor& table, const Tensor& index, Span span);
  Value matmul(const Value& a, const Value& b, Span span);
  Value push_contraction(const Tensor& a, const Tensor& b, IndexFormula formula, Axes axes, Span span);
  Value contract(const Tensor& a, const Tensor& b, const Axes& over, Span span);
  Value reduce(OpKind op, const Value& x, const Value* over, Span span);
  /// Whether each of these whole numbers is the position of an element of `axis`, as far as they come from outside.
  /// `strict`: what may lie outside is refused also where nothing comes from outside.
  bool check_positions(const Tensor& positions, const Axis& axis, Span span, bool strict = false);
  /// x from `start` on along an axis, as far as `axis` goes; with `bounded` what is outside is 0.
  Tensor part(const Tensor& x, size_t place, const Axis& axis, int64_t start, std::optional<double> outside, Span span);
  /// x with the elements `rows` along an axis, whole numbers that are inside of it: a scalar takes the axis away, else
  /// `axis` is in its place.
  Tensor rows_along(const Tensor& x, size_t place, NodeId rows, const Axis& axis, Span span);
  Value gather(const Tensor& table, const Tensor& index, Span span);

  /// Notes what the model file applies; what the library applies is not noted.
  void note_use(std::string_view name, const std::vector<Value>& operands, const Value& result, Span span,
                bool by_logvar = false);

  // ---- what the function reads and writes ----
  Tensor variable_value(int32_t variable, const Axes& axes);
  /// The axes of a variable outside of its layer.
  void note_axes(int32_t variable, Axes axes) { axes_of_variables_[variable] = std::move(axes); }
  Axes axes_of_variable(int32_t variable) const;
  void write_variable(int32_t variable, const Tensor& value);
  /// Of a variable that the function reads: as it is before the function runs.
  NodeId value_before(int32_t variable) const;
  NodeId seed_argument();
  NodeId run_argument();
  Tensor scalar_argument(int32_t scalar);
  int32_t scalar_input(const std::string& name, ScalarKind kind, double initial, int32_t ref);
  Value setting(const std::string& name, double value);

 private:
  NodeId variable_node(int32_t variable);
  Value fold(ast::BinaryOp op, const Value& a, const Value& b, Span span);
  std::optional<DType> common_dtype(const std::vector<Value>& values, Span span, Meeting meeting);

  Experiment& experiment_;
  Scopes& scopes_;
  Shapes& shapes_;
  Diagnostics& diagnostics_;
  const Limits& limits_;
  FunctionContext* context_ = nullptr;
  std::map<int32_t, Axes> axes_of_variables_;
  bool too_large_ = false;
  bool missed_parameters_ = false;
};

}  // namespace frontend
}  // namespace smelt
