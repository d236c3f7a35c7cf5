#include "api/smelt/trace_nonfinite.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "api/smelt/call_values.h"
#include "api/smelt/step_parts.h"
#include "compiler/run_passes.h"
#include "ir/find_nonfinite.h"
#include "ir/op.h"
#include "ir/rewrite.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

constexpr size_t kMaxSnippet = 48;  // bytes of source text that stand for an operand

/// The results that decided about the call's status.
bool decides(const Output& result, int32_t status, FunctionKind kind) {
  if (kind != FunctionKind::Step) return true;
  return status == SMELT_CALL_NONFINITE_UPDATE ? result.role == ResultRole::Variable : guards(result);
}

std::string number(double value) { return std::isnan(value) ? "nan" : fmt::format("{:.6g}", value); }

std::string range_text(const ValueRange& range) {
  if (range.low > range.high) return "no finite value";
  std::string text = range.low == range.high ? fmt::format("always {}", number(range.low))
                                             : fmt::format("{} to {}", number(range.low), number(range.high));
  if (range.num_bad > 0)
    text += fmt::format(", and {} that {} not finite", range.num_bad, range.num_bad == 1 ? "is" : "are");
  return text;
}

class Tracer {
 public:
  Tracer(const CheckedModel& model, const ModelOptions& options, const FailedCall& call)
      : model_(model),
        experiment_(*model.experiment),
        options_(options),
        call_(call),
        function_(experiment_.functions.at(
            static_cast<size_t>(&call.frame.entry() - call.session.program().entries.data()))) {}

  Result<Diagnostic> run() {
    SMELT_TRY(graph_, run_graph_passes(function_.graph, options_.passes));
    if (function_.kind == FunctionKind::Step) parts_ = find_step_parts(function_.graph, graph_, states());
    std::erase_if(graph_.results, [&](const Output& result) { return !decides(result, call_.status, function_.kind); });
    values_ = read_call(experiment_, graph_, call_);
    // Compiled code adds up in an order of its own: an exact sum is the nearest to it, one after the other the widest.
    NonFiniteSearch search;
    for (const Formula formula : {Formula::Reference, Formula::Body}) {
      SMELT_TRY(search, find_nonfinite(graph_, values_.arguments, values_.extents, formula));
      if (search.origin) break;
    }
    if (!search.origin) return not_reproduced(search);
    return graph_[search.origin->node].op == OpKind::Argument ? bad_input(*search.origin) : bad_operation(search);
  }

 private:
  std::string when() const { return call_.step > 0 ? fmt::format("step {}: ", call_.step) : std::string(); }

  std::string type_text(NodeId node, const std::vector<int64_t>& sizes) const {
    return fmt::format("{}{}", to_string(graph_.type(node).dtype),
                       sizes.empty() ? "" : fmt::format("[{}]", fmt::join(sizes, ", ")));
  }

  std::string element_text(const NonFiniteOrigin& origin) const {
    if (origin.sizes.empty()) return fmt::format("{}, {}", type_text(origin.node, {}), number(origin.value));
    return fmt::format("{}, {} at [{}], {} of {} not finite", type_text(origin.node, origin.sizes),
                       number(origin.value), fmt::join(origin.first, ", "), origin.num_bad, origin.num_elements);
  }

  /// A place in the library is shown below the line of the model file that led there.
  static void place(Diagnostic& diagnostic, const Node& node, std::string text) {
    const bool in_library = !node.call.empty();
    diagnostic.span = node.place();
    diagnostic.caret_text = std::move(text);
    if (in_library) diagnostic.label(node.span, fmt::format("`{}` here", op_def(node).name));
  }

  Result<Diagnostic> bad_operation(const NonFiniteSearch& search) const {
    const NonFiniteOrigin& origin = *search.origin;
    const Node& node = graph_[origin.node];
    Diagnostic diagnostic{.code = Diag::E0801};
    diagnostic.message =
        fmt::format("{}`{}` gives {} in {}", when(), op_def(node).name, number(origin.value), part_text(search));
    place(diagnostic, node, element_text(origin));
    for (size_t k = 0; k < origin.operands.size(); ++k) diagnostic.note(operand_text(node, k, origin.operands[k]));
    note_row(diagnostic, origin);
    return diagnostic;
  }

  std::string part_text(const NonFiniteSearch& search) const {
    const std::string what = fmt::format("{} `{}`",
                                         function_.kind == FunctionKind::Step || function_.kind == FunctionKind::Loss ||
                                                 function_.kind == FunctionKind::Gradients
                                             ? "objective"
                                             : to_string(function_.kind),
                                         function_.name);
    switch (part_of(search.origin->node)) {
      case StepPart::Forward:
        return function_.kind == FunctionKind::Step ? fmt::format("the forward pass of {}", what) : what;
      case StepPart::State: return fmt::format("the new value of {}, {}", reached_text(search), what);
      case StepPart::Backward: return fmt::format("the gradient of this expression, the backward pass of {}", what);
      case StepPart::Update: return fmt::format("the update of {}, the step of {}", reached_text(search), what);
    }
    return what;
  }

  std::vector<bool> states() const {
    std::vector<bool> is_state;
    for (const Variable& variable : experiment_.variables) is_state.push_back(variable.kind == VariableKind::State);
    return is_state;
  }

  StepPart part_of(NodeId node) const { return parts_.empty() ? StepPart::Forward : parts_[node.index]; }

  /// Variables whose new value the origin reaches: the parameters first, which a reader knows.
  std::string reached_text(const NonFiniteSearch& search) const {
    std::vector<std::string> paths;
    for (const bool params : {true, false}) {
      for (const size_t r : search.reached) {
        const Output& result = graph_.results[r];
        if (result.role != ResultRole::Variable) continue;
        const Variable& variable = experiment_.variables[static_cast<size_t>(result.ref)];
        if ((variable.kind == VariableKind::Param) == params) paths.push_back(variable.path);
      }
    }
    if (paths.empty()) return "the norm of `clip_norm`";
    return fmt::format("`{}`{}", paths[0], paths.size() == 1 ? "" : fmt::format(" (and {} more)", paths.size() - 1));
  }

  std::string operand_text(const Node& node, size_t k, const ValueRange& range) const {
    const NodeId id = node.inputs[k];
    std::string text = fmt::format("`{}` = {}", operand_name(op_def(node), k), name_of(node, id));
    if (splat_value(graph_, id)) return text;
    text +=
        fmt::format(": {}, {}", type_text(id, actual_sizes(graph_.type(id).shape, values_.extents)), range_text(range));
    if (range.at && !graph_.type(id).shape.empty()) text += fmt::format("; {} there", number(*range.at));
    return text;
  }

  /// An operand as the reader knows it: a path, a number, its text, or its operation.
  std::string name_of(const Node& user, NodeId id) const {
    if (const auto splat = splat_value(graph_, id)) return number(*splat);
    const Node& node = graph_[id];
    for (const Argument& argument : graph_.arguments) {
      if (argument.node == id) return fmt::format("`{}`", argument.name);
    }
    if (node.span.empty()) return fmt::format("a `{}`", op_def(node).name);
    const std::string_view text = model_.sources->text(node.span);
    const bool shown =
        text.size() <= kMaxSnippet && text.find('\n') == std::string_view::npos && node.span != user.span;
    const std::string where = model_.sources->describe(node.span);
    const std::string what = shown ? fmt::format("`{}`", text) : fmt::format("a `{}`", op_def(node).name);
    return part_of(id) == StepPart::Backward ? fmt::format("a gradient of {} ({})", what, where)
                                             : fmt::format("{} ({})", what, where);
  }

  /// The split of data section `section` that the call reads; empty when there is none.
  std::string split_of(int32_t section) const {
    const auto set = std::ranges::find(call_.data, section, &Dataset::section);
    return set == call_.data.end() ? "" : (*set)->split();
  }

  /// Which row of the data the first bad element belongs to, when it counts the rows of the batch. Of several data
  /// sections no row can be named.
  void note_row(Diagnostic& diagnostic, const NonFiniteOrigin& origin) const {
    const Shape& shape = graph_.type(origin.node).shape;
    if (shape.empty() || values_.rows.size() != 1 || call_.data.empty()) return;
    for (const Argument& argument : graph_.arguments) {
      if (argument.role != ArgRole::Rows) continue;
      if (!(graph_.type(argument.node).shape[0] == shape[0]) || shape[0].is_static()) return;
    }
    const int32_t row = values_.rows[0][static_cast<size_t>(origin.first[0])];
    diagnostic.note(
        fmt::format("row {} of this batch is row {} of split `{}`, counted from 0", origin.first[0], row, split_of(0)));
  }

  Result<Diagnostic> bad_input(const NonFiniteOrigin& origin) const {
    const auto argument = std::ranges::find(graph_.arguments, origin.node, &Argument::node);
    SMELT_CHECK(argument != graph_.arguments.end(), "an argument of `{}` has no name", graph_.name);
    Diagnostic diagnostic{.code = Diag::E0801};
    diagnostic.caret_text = element_text(origin);
    switch (argument->role) {
      case ArgRole::Variable: bad_variable(diagnostic, argument->ref, origin); break;
      case ArgRole::Column: bad_column(diagnostic, argument->ref, origin); break;
      default:
        diagnostic.message = fmt::format("{}input `{}` of {} `{}` is {}", when(), argument->name,
                                         to_string(function_.kind), function_.name, number(origin.value));
        diagnostic.span = function_.span;
        break;
    }
    return diagnostic;
  }

  void bad_variable(Diagnostic& diagnostic, int32_t ref, const NonFiniteOrigin& origin) const {
    const Variable& variable = experiment_.variables[static_cast<size_t>(ref)];
    diagnostic.message =
        fmt::format("{}`{}` already is {} before {} `{}` reads it", when(), variable.path, number(origin.value),
                    function_.kind == FunctionKind::Step ? "objective" : to_string(function_.kind), function_.name);
    diagnostic.span = variable.span;
    diagnostic.with_help("look at the file that the parameters came from");
  }

  void bad_column(Diagnostic& diagnostic, int32_t ref, const NonFiniteOrigin& origin) const {
    const Column& column = experiment_.data->columns[static_cast<size_t>(ref)];
    const int32_t row = values_.rows.at(static_cast<size_t>(column.section)).at(static_cast<size_t>(origin.first[0]));
    const std::string split = split_of(column.section);
    diagnostic.message = fmt::format("{}the data has {} in row {} of split `{}`, {}", when(), number(origin.value), row,
                                     split, column_text(column));
    diagnostic.span = column.span;
    diagnostic.note("rows are counted from 0; the index counts rows of this batch");
    for (const Split& one : experiment_.data->splits) {
      if (one.name != split || one.section != column.section) continue;
      diagnostic.label(one.source.span, "the split's files");
    }
    diagnostic.with_help("repair the file, or write `where(x == x, x, 0)` to replace NaN");
  }

  static std::string column_text(const Column& column) {
    return column.field == Column::kWholeRow ? "`row()`" : fmt::format("`field({})`", column.field);
  }

  Result<Diagnostic> not_reproduced(const NonFiniteSearch& search) const {
    Diagnostic diagnostic{.code = Diag::E0801, .span = function_.span};
    diagnostic.message = fmt::format(
        "{}{} `{}` is not finite, but the reference evaluator, which rounds in another order, came out finite", when(),
        function_.kind == FunctionKind::Step ? "objective" : to_string(function_.kind), function_.name);
    diagnostic.caret_text = "somewhere in this";
    for (const ValueRange& range : search.widest) {
      const Node& node = graph_[range.node];
      diagnostic.label(node.place(), fmt::format("`{}`: {}", op_def(node).name, range_text(range)));
    }
    diagnostic.note("the values nearest to the end of their type's range are underlined");
    return diagnostic;
  }

  const CheckedModel& model_;
  const Experiment& experiment_;
  const ModelOptions& options_;
  const FailedCall& call_;
  const Function& function_;
  Graph graph_;                  // optimised; its results are those that decided
  std::vector<StepPart> parts_;  // of its nodes; empty when it is no step
  CallValues values_;
};

}  // namespace

Result<Diagnostic> trace_nonfinite(const CheckedModel& model, const ModelOptions& options, const FailedCall& call) {
  SMELT_CHECK(model.experiment.has_value(), "a model with errors does not run");
  return Tracer(model, options, call).run();
}

}  // namespace smelt
