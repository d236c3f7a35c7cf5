// Variables: parameters, states, optimiser slots and constants, with their start values in the init graph.
#include <fmt/format.h>

#include "frontend/elaborator.h"
#include "ir/half_bits.h"

namespace smelt::frontend {

int32_t Elaborator::find_variable(const std::string& path) const {
  const auto found = variable_ids_.find(path);
  return found == variable_ids_.end() ? -1 : found->second;
}

/// The variable at `path`: made with its start value the first time, checked to have the same type later.
std::optional<int32_t> Elaborator::declare_variable(VariableKind kind, const std::string& path, const Tensor& like,
                                                    ast::ExprId init, bool random, Span span) {
  TensorType type{like.dtype, {}};
  for (const Axis& axis : like.axes) {
    type.shape.push_back(axis.extent);
    if (axis.extent.is_static()) continue;
    error(Diag::E0205, span, fmt::format("`{}` depends on {}, which is known at run time only", path, axis_text(axis)))
        .with_help(fmt::format("write `capacity({})` for its bound", axis_text(axis)));
    return std::nullopt;
  }
  if (const int32_t known = find_variable(path); known >= 0) {
    const Variable& variable = experiment_.variables[static_cast<size_t>(known)];
    const bool own = frame_->instance == nullptr || frame_->instance->variables.contains(path);
    if (!own) {
      error(Diag::E0308, frame_->instance->span, fmt::format("two layers have the path `{}`", frame_->instance->path))
          .label(variable.span, fmt::format("parameter `{}`", path))
          .with_help("give one of them a label: `|> a: Dense{8}`");
      return std::nullopt;
    }
    if (variable.type == type) return known;
    LayerInstance& instance = *frame_->instance;
    auto& diagnostic = error(Diag::E0107, instance.call_span,
                             fmt::format("layer `{}` has a parameter `{}` of {}, and would need {} here", instance.path,
                                         path, to_string(variable.type), to_string(type)));
    for (const auto& [name, bound] : instance.first_call) {
      const Binding* const now = find_local(name);
      const auto* dim = now != nullptr ? now->value.as<DimValue>() : nullptr;
      if (dim == nullptr || axis_of(dim->id).extent == bound.axis.extent) continue;
      diagnostic.label(bound.span,
                       fmt::format("{} was fixed to {} by this first application", name, sized_text(bound.axis)));
      const auto outside = frame_->outside.find(dim->id);
      const Axis axis = outside == frame_->outside.end() ? axis_of(dim->id) : outside->second;
      diagnostic.caret(fmt::format("{} = {}", name, sized_text(axis)));
    }
    diagnostic.with_help(
        fmt::format("one `{}{{..}}` owns one set of parameters; write it twice for two", instance.decl->name.text));
    return std::nullopt;
  }
  if (is_half(type.dtype)) {
    error(Diag::E0701, span,
          fmt::format("`{}` would live between steps as {}, which is not supported yet", path, to_string(type.dtype)))
        .with_help(
            "keep it in f32, and cast where it is read; `precision bf16` stores what flows through the nets as bf16");
    return std::nullopt;
  }
  Span layer = span;
  for (const Frame* frame = frame_; frame != nullptr; frame = frame->caller) {
    if (frame->instance == nullptr || frame->instance->span.file != file_.file) continue;
    layer = frame->instance->span;
    break;
  }
  experiment_.variables.push_back({path, kind, type, span, span.file == file_.file ? span : layer});
  const auto id = static_cast<int32_t>(experiment_.variables.size() - 1);
  variable_ids_.emplace(path, id);
  if (frame_->instance != nullptr) frame_->instance->variables[path] = id;
  // A start value belongs to the line that applies the layer, like the rest of what the layer makes.
  const BuilderCall call(init_->builder, context_ != nullptr ? context_->builder.call() : init_->builder.call());
  const Entered in_init(context_, *init_);
  const Value value = initial_value(path, like, init, random, span);
  if (const auto* t = value.as<Tensor>()) init_->variables.emplace(id, t->node);
  return value.bad() ? std::nullopt : std::optional(id);
}

/// Evaluates `= e` or `~ e` in the init graph, with the names of the body at hand, where fan_in and fan_out of a matrix
/// are known.
Value Elaborator::initial_value(const std::string& path, const Tensor& like, ast::ExprId init, bool random, Span span) {
  Frame frame = *frame_;
  frame.around.setting.clear();
  if (like.axes.size() == 2) {
    frame.around.defaults["fan_in"] = Value(like.axes[0].extent.bound);
    frame.around.defaults["fan_out"] = Value(like.axes[1].extent.bound);
  }
  const Entered entered(frame_, frame);
  const bool is_slot = experiment_.variables.back().kind == VariableKind::Slot;
  const Value value = is_slot ? Value(int64_t{0}) : eval(init);  // slots start at zero whatever they are shaped like
  if (value.bad()) return {};
  const Span where = init.valid() ? span_of(init) : span;
  const auto* dist = value.as<Distribution>();
  if (random != (dist != nullptr)) {
    error(Diag::E0610, where, fmt::format("the start value of `{}` is {}", path, describe(value)))
        .with_help(random ? "`=` gives a fixed start value" : "`~` draws a random start value");
    return {};
  }
  if (random) return sample(*dist, like.axes, path, where);
  std::optional<Tensor> t = expect_tensor(value, where, like.dtype);
  if (t && t->dtype != like.dtype && t->weak) t = cast_to(*t, like.dtype, where);
  if (t && t->dtype != like.dtype) {
    error(Diag::E0501, where,
          fmt::format("`{}` is {}, its start value is {}", path, to_string(like.dtype), to_string(t->dtype)));
    return {};
  }
  if (t) t = broadcast_to(*t, like.axes, where);
  return t ? Value(*t) : Value();
}

/// Current value in the function that is being built; its argument is made when it is first read.
NodeId Elaborator::variable_node(int32_t variable) {
  const auto known = context_->variables.find(variable);
  if (known != context_->variables.end()) return known->second;
  if (context_->is_init) return {};
  const Variable& v = experiment_.variables[static_cast<size_t>(variable)];
  const NodeId node = graph().argument({v.path, ArgRole::Variable, variable, {}}, v.type);
  context_->variables.emplace(variable, node);
  return node;
}

Tensor Elaborator::variable_value(int32_t variable, const Axes& axes) {
  const NodeId node = variable_node(variable);
  return node.valid() ? tensor(node, axes)
                      : constant(0, experiment_.variables[static_cast<size_t>(variable)].type.dtype, axes);
}

void Elaborator::write_variable(int32_t variable, const Tensor& value) {
  variable_node(variable);
  context_->variables[variable] = value.node;
  context_->written.insert(variable);
}

NodeId Elaborator::seed_argument() {
  if (!context_->seed.valid()) context_->seed = graph().argument({"seed", ArgRole::Seed, -1, {}}, {DType::I64, {}});
  return context_->seed;
}

NodeId Elaborator::run_argument() {
  if (context_->run.valid()) return context_->run;
  const TensorType type{DType::I64, {}};
  context_->run = context_->is_init ? graph().constant(0, type) : graph().argument({"run", ArgRole::Run, -1, {}}, type);
  return context_->run;
}

int32_t Elaborator::scalar_input(const std::string& name, ScalarKind kind, double initial, int32_t ref) {
  for (size_t i = 0; i < experiment_.scalars.size(); ++i) {
    if (experiment_.scalars[i].name == name) return static_cast<int32_t>(i);
  }
  experiment_.scalars.push_back({name, kind, initial, ref});
  return static_cast<int32_t>(experiment_.scalars.size() - 1);
}

Tensor Elaborator::scalar_argument(int32_t scalar) {
  NodeId& node = context_->scalars[scalar];
  if (!node.valid()) {
    node = graph().argument({experiment_.scalars[static_cast<size_t>(scalar)].name, ArgRole::Scalar, scalar, {}},
                            {DType::F64, {}});
  }
  Tensor t = tensor(node, {});
  t.weak = true;
  return t;
}

}  // namespace smelt::frontend
