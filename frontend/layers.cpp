// Layers: one occurrence of `Layer{..}` is one instance with its own parameters; applying it evaluates its
// body.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "frontend/ast_walk.h"
#include "frontend/elaborator.h"

namespace smelt::frontend {

/// Numbers the occurrences of layers in a body by type, in the order of the text.
void Elaborator::number_occurrences(LayerInstance& parent) {
  if (!parent.ordinals.empty()) return;
  const ast::Ast& tree = parent.scope->ast;
  std::map<std::string, int> counts;
  std::vector<std::pair<uint32_t, std::string>> found;
  const std::function<void(ast::ExprId)> visit = [&](ast::ExprId id) {
    if (const auto* name = tree.as<ast::NameExpr>(id)) {
      const auto [scope, decl] = find_decl(*parent.scope, name->name);
      if (std::holds_alternative<const ast::LayerDecl*>(decl)) found.emplace_back(id.index, name->name);
    }
    ast::for_each_child(tree, tree[id], visit);
  };
  ast::for_each_child(tree, parent.decl->body, visit);
  std::ranges::sort(found, {}, [&](const auto& entry) { return tree.exprs[entry.first].span.begin; });
  for (const auto& [index, type] : found) parent.ordinals.emplace(index, counts[type]++);
}

/// Label, else the name it is bound to, else type and ordinal.
std::string Elaborator::occurrence_segment(const ast::LayerDecl& decl, ast::ExprId name_expr, const Naming& naming) {
  if (!naming.label.empty()) return std::string(naming.label);
  if (!naming.bound.empty()) return std::string(naming.bound);
  if (frame_->instance == nullptr) return decl.name.text;
  number_occurrences(*frame_->instance);
  return fmt::format("{}{}", decl.name.text, frame_->instance->ordinals[name_expr.index]);
}

/// `repeat` adds its index: `lm.blocks.0` for what a labelled one yields, `G.Dense0.2` without a label.
std::string Elaborator::occurrence_path(const std::string& segment, bool named_by_repeat) const {
  std::string path = frame_->instance->path, indices;
  for (const Frame::Repeat& repeat : frame_->repeats) {
    if (repeat.label.empty())
      indices += fmt::format(".{}", repeat.index);
    else
      path += fmt::format(".{}.{}", repeat.label, repeat.index);
  }
  return named_by_repeat ? path + indices : path + "." + segment + indices;
}

LayerInstance* Elaborator::new_instance(const FileScope& scope, const ast::LayerDecl& decl, std::string path,
                                        std::string site_name, Span span) {
  auto instance = std::make_unique<LayerInstance>();
  instance->decl = &decl;
  instance->scope = &scope;
  instance->path = std::move(path);
  instance->site_name = std::move(site_name);
  instance->span = span;
  return instance.release();
}

Value Elaborator::layer_occurrence(const FileScope& scope, const ast::LayerDecl& decl,
                                   const std::vector<ast::Arg>* attributes, ast::ExprId name_expr, const Naming& naming,
                                   Span span) {
  if (!frame_->allows_layers || frame_->instance == nullptr) {
    error(Diag::E0309, span, fmt::format("layer `{}` occurs outside a layer", decl.name.text))
        .with_help(fmt::format("declare `model name = {}{{..}}` and apply the model", decl.name.text));
    return {};
  }
  std::vector<int64_t> indices;
  for (const Frame::Repeat& repeat : frame_->repeats) indices.push_back(repeat.index);
  std::unique_ptr<LayerInstance>& child = frame_->instance->children[{name_expr.index, indices}];
  if (child == nullptr) {
    const std::string segment = occurrence_segment(decl, name_expr, naming);
    const bool named_by_repeat = naming.repeat_result && !frame_->repeats.back().label.empty();
    child.reset(new_instance(scope, decl, occurrence_path(segment, named_by_repeat),
                             named_by_repeat ? frame_->repeats.back().label : segment, span));
  }
  if (!bind_attributes(*child, attributes, span)) return {};
  return Value(LayerValue{child.get()});
}

/// Attributes are evaluated in the caller, defaults in the layer's file.
bool Elaborator::bind_attributes(LayerInstance& instance, const std::vector<ast::Arg>* attributes, Span span) {
  const ast::LayerDecl& decl = *instance.decl;
  std::optional<Args> args = attributes != nullptr ? eval_args(*attributes) : Args{};
  if (!args) return false;
  std::vector<ParamSpec> specs;
  for (const ast::Param& attribute : decl.attributes) {
    specs.push_back({attribute.name.text, !attribute.default_value.valid()});
  }
  auto matched = match_args(decl.name.text, specs, std::move(*args), span);
  if (!matched) return false;
  instance.attributes.clear();
  for (size_t i = 0; i < specs.size(); ++i) {
    Value value;
    if ((*matched)[i]) {
      value = (*matched)[i]->value;
      const auto* t = value.as<Tensor>();
      if (t != nullptr) {
        error(Diag::E0502, (*matched)[i]->span,
              fmt::format("attribute `{}` of `{}` is {}, which is known at run time only", specs[i].name,
                          decl.name.text, describe(value)))
            .with_help("braces take compile-time values, parentheses take tensors");
        return false;
      }
    } else {
      Frame frame(*instance.scope, frame_);
      const Entered entered(frame_, frame);
      value = eval(decl.attributes[i].default_value);
    }
    if (value.bad()) return false;
    instance.attributes.emplace_back(specs[i].name, std::move(value));
  }
  return true;
}

Value Elaborator::model_value(const ast::ModelDecl& decl) {
  std::unique_ptr<LayerInstance>& model = models_[decl.name.text];
  if (model != nullptr) return Value(LayerValue{model.get()});
  const ast::Expr& expr = file_.ast[decl.layer];
  const auto* attributes = std::get_if<ast::AttrExpr>(&expr.node);
  const auto* name = file_.ast.as<ast::NameExpr>(attributes != nullptr ? attributes->callee : decl.layer);
  const auto [scope, found] = name != nullptr ? find_decl(file_, name->name) : std::pair<const FileScope*, Decl>{};
  const auto* layer = std::get_if<const ast::LayerDecl*>(&found);
  Frame frame(file_, frame_);
  const Entered entered(frame_, frame);
  Value result;
  if (layer != nullptr) {
    model.reset(new_instance(*scope, **layer, decl.name.text, decl.name.text, expr.span));
    if (bind_attributes(*model, attributes != nullptr ? &attributes->args : nullptr, expr.span))
      result = Value(LayerValue{model.get()});
  } else if (name != nullptr && scope == nullptr) {
    result = unknown_name(name->name, expr.span);
  } else {
    error(Diag::E0403, expr.span, fmt::format("model `{}` names a layer", decl.name.text))
        .with_help("write `model net = MLP{hidden = 256}`");
  }
  if (result.bad()) models_.erase(decl.name.text);
  return result;
}

/// Compares what the head was bound to with the first application, whose sizes the parameters have.
void Elaborator::check_first_call(LayerInstance& instance, Span span) {
  const bool first = instance.first_call.empty();
  instance.call_span = span;
  for (const auto& [name, binding] : frame_->blocks.front()) {
    const auto* dim = binding.value.as<DimValue>();
    if (dim == nullptr) continue;
    const auto known = frame_->outside.find(dim->id);
    if (known != frame_->outside.end() && first) instance.first_call[name] = {known->second, span};
  }
}

/// Evaluates the body with the head bound to the arguments; axes of the result are the caller's.
Value Elaborator::call_layer(LayerInstance& instance, Args args, Span span) {
  const ast::LayerDecl& decl = *instance.decl;
  for (const Frame* frame = frame_; frame != nullptr; frame = frame->caller) {
    const LayerInstance* const l = frame->instance;
    if (l == nullptr || l->decl != &decl || !instance.path.starts_with(l->path + ".")) continue;
    error(Diag::E0305, span, fmt::format("layer `{}` contains itself", decl.name.text))
        .label(decl.name.span, "declared here")
        .with_help("use `repeat` for a stack of layers");
    return {};
  }
  std::vector<ParamSpec> specs;
  for (const ast::Param& param : decl.params) specs.push_back({param.name.text, !param.default_value.valid()});
  auto matched = match_args(decl.name.text, specs, std::move(args), span);
  if (!matched) return {};
  if (!decl.options.empty()) return unsupported(decl.options[0].name.span, "`with {..}` on a layer");
  if (context_ == nullptr) return {};

  Frame frame(*instance.scope, frame_);
  frame.instance = &instance;
  frame.allows_layers = true;
  frame.loop = frame_->loop;
  frame.site = call_path(instance.site_name);
  const LibraryCall library_call(context_, diagnostics_, *frame_->scope, *instance.scope, span);
  const Entered entered(frame_, frame);
  for (const auto& [name, value] : instance.attributes)
    frame.blocks.back().emplace(name, Binding{value, decl.name.span});
  Value result;
  bool good = true;
  const uint32_t begin = graph().graph().size();
  for (size_t i = 0; i < specs.size() && good; ++i) {
    Value value = (*matched)[i] ? std::move((*matched)[i]->value) : eval(decl.params[i].default_value);
    good = bind_head(decl.params[i].type, value, (*matched)[i] ? (*matched)[i]->span : span, decl.params[i].name,
                     decl.name.text);
    if (good) bind(decl.params[i].name, std::move(value));
  }
  if (good) {
    check_first_call(instance, span);
    const size_t errors = diagnostics_.num_errors();
    result = eval_block(decl.body);
    const Span where = decl.body.statements.empty() ? decl.body.span : ast()[decl.body.statements.back()].span;
    if (!check_result(decl.result, result, where, fmt::format("layer `{}`", decl.name.text))) result = Value();
    if (diagnostics_.num_errors() > errors) result = Value();
  }
  context_->layer_calls.push_back({begin, graph().graph().size(), decl.name.text, instance.path, span});
  return to_outside(std::move(result), frame);
}

}  // namespace smelt::frontend
