#include "frontend/variables.h"

#include <fmt/format.h>

#include "frontend/distributions.h"
#include "frontend/evaluator.h"
#include "frontend/function_builder.h"
#include "ir/half_bits.h"

namespace smelt::frontend {

int32_t Variables::find_variable(const std::string& path) const {
  const auto found = ids_.find(path);
  return found == ids_.end() ? -1 : found->second;
}

const FunctionContext& Variables::start_values() const { return functions_.init(); }

/// A half has 8 or 11 significant bits. An update below half of the last place changes nothing.
void Variables::report_half(const std::string& path, VariableKind kind, DType dtype, Span span) {
  const std::string half(to_string(dtype)), name = path.substr(path.rfind('.') + 1);
  const int64_t least = dtype == DType::BF16 ? 512 : 4096;
  const std::string why =
      kind == VariableKind::Const
          ? "and constants are kept in f32"
          : fmt::format("in which a change of less than 1/{} of a number is lost, as most updates are", least);
  diagnostics_.report(Diag::E0504, span, fmt::format("`{}` would be kept as {}, {}", path, half, why))
      .with_help(
          fmt::format("declare it as f32, and write `cast({}, {})` where it is read; `precision bf16` in the train "
                      "section stores what flows between operations as bf16",
                      name, half));
}

/// The layer of variable `known` is applied again: to the same sizes, or it is another layer of that path.
std::optional<int32_t> Variables::declared_again(int32_t known, const TensorType& type) {
  const Variable& variable = experiment_.variables[static_cast<size_t>(known)];
  const bool own = scopes_.frame().instance == nullptr || scopes_.frame().instance->variables.contains(variable.path);
  if (!own) {
    diagnostics_
        .report(Diag::E0308, scopes_.frame().instance->span,
                fmt::format("two layers have the path `{}`", scopes_.frame().instance->path))
        .label(variable.span, fmt::format("parameter `{}`", variable.path))
        .with_help("give one of them a label: `|> a: Dense{8}`");
    return std::nullopt;
  }
  if (variable.type == type) return known;
  LayerInstance& instance = *scopes_.frame().instance;
  auto& diagnostic =
      diagnostics_.report(Diag::E0107, instance.call_span,
                          fmt::format("layer `{}` has a parameter `{}` of {}, and would need {} here", instance.path,
                                      variable.path, to_string(variable.type), to_string(type)));
  for (const auto& [name, bound] : instance.first_call) {
    const Binding* const now = scopes_.find_local(name);
    const auto* dim = now != nullptr ? now->value.as<DimValue>() : nullptr;
    if (dim == nullptr || shapes_.axis_of(dim->id).extent == bound.axis.extent) continue;
    diagnostic.label(bound.span,
                     fmt::format("{} was fixed to {} by this first application", name, shapes_.sized_text(bound.axis)));
    const auto outside = scopes_.frame().outside.find(dim->id);
    const Axis axis = outside == scopes_.frame().outside.end() ? shapes_.axis_of(dim->id) : outside->second;
    diagnostic.caret(fmt::format("{} = {}", name, shapes_.sized_text(axis)));
  }
  diagnostic.with_help(
      fmt::format("one `{}{{..}}` owns one set of parameters; write it twice for two", instance.decl->name.text));
  return std::nullopt;
}

std::optional<int32_t> Variables::declare_variable(VariableKind kind, const std::string& path, const Tensor& like,
                                                   ast::ExprId init, bool random, Span span) {
  TensorType type{like.dtype, {}};
  for (const Axis& axis : like.axes) {
    type.shape.push_back(axis.extent);
    if (axis.extent.is_static()) continue;
    diagnostics_
        .report(Diag::E0205, span,
                fmt::format("`{}` depends on {}, which is known at run time only", path, shapes_.axis_text(axis)))
        .with_help(fmt::format("write `capacity({})` for its bound", shapes_.axis_text(axis)));
    return std::nullopt;
  }
  if (const int32_t known = find_variable(path); known >= 0) return declared_again(known, type);
  if (is_half(type.dtype)) {
    report_half(path, kind, type.dtype, span);
    return std::nullopt;
  }
  Span layer = span;
  for (const Frame* frame = &scopes_.frame(); frame != nullptr; frame = frame->caller) {
    if (frame->instance == nullptr || frame->instance->span.file != file_.file) continue;
    layer = frame->instance->span;
    break;
  }
  experiment_.variables.push_back({path, kind, type, span, span.file == file_.file ? span : layer});
  const auto id = static_cast<int32_t>(experiment_.variables.size() - 1);
  ids_.emplace(path, id);
  graph_.note_axes(id, shapes_.outside_of_layer(like.axes));
  if (scopes_.frame().instance != nullptr) scopes_.frame().instance->variables[path] = id;
  // A start value belongs to the line that applies the layer, like the rest of what the layer makes.
  FunctionContext& start = functions_.init();
  const BuilderCall call(start.builder, graph_.context().builder.call());
  const auto in_init = graph_.enter(start);
  const Value value = initial_value(path, like, init, random, span);
  if (const auto* t = value.as<Tensor>()) start.variables.emplace(id, t->node);
  return value.bad() ? std::nullopt : std::optional(id);
}

/// Evaluates `= e` or `~ e` in the init graph, with the names of the body at hand, where fan_in and fan_out of a matrix
/// are known.
Value Variables::initial_value(const std::string& path, const Tensor& like, ast::ExprId init, bool random, Span span) {
  Frame frame = scopes_.frame();
  frame.around.setting.clear();
  if (like.axes.size() == 2) {
    frame.around.defaults["fan_in"] = Value(like.axes[0].extent.bound);
    frame.around.defaults["fan_out"] = Value(like.axes[1].extent.bound);
  }
  const auto entered = scopes_.enter(frame);
  const bool is_slot = experiment_.variables.back().kind == VariableKind::Slot;
  const bool is_param = experiment_.variables.back().kind == VariableKind::Param;
  const auto& starts = frame.around.starts;
  const auto stated = starts.find(std::string(kStartOptions[like.axes.size() > 1 ? 0 : 1]));
  const bool overridden = is_param && random && stated != starts.end();
  const Value value = is_slot      ? Value(int64_t{0})  // slots start at zero whatever they are shaped like
                      : overridden ? stated->second
                                   : evaluator_.eval(init);
  if (overridden) random = value.as<Distribution>() != nullptr;
  if (value.bad()) return {};
  const Span where = init.valid() ? scopes_.span_of(init) : span;
  const auto* dist = value.as<Distribution>();
  if (random != (dist != nullptr)) {
    diagnostics_.report(Diag::E0610, where, fmt::format("the start value of `{}` is {}", path, shapes_.describe(value)))
        .with_help(random ? "`=` gives a fixed start value" : "`~` draws a random start value");
    return {};
  }
  if (random) return distributions_.sample(*dist, like.axes, path, where);
  std::optional<Tensor> t = graph_.expect_tensor(value, where, like.dtype);
  if (t && t->dtype != like.dtype && t->weak) t = graph_.cast_to(*t, like.dtype, where);
  if (t && t->dtype != like.dtype) {
    diagnostics_.report(
        Diag::E0501, where,
        fmt::format("`{}` is {}, its start value is {}", path, to_string(like.dtype), to_string(t->dtype)));
    return {};
  }
  if (t) t = graph_.broadcast_to(*t, like.axes, where);
  return t ? Value(*t) : Value();
}

}  // namespace smelt::frontend
