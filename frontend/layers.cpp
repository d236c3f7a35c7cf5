#include "frontend/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "frontend/ast_walk.h"
#include "frontend/calls.h"
#include "frontend/evaluator.h"
#include "frontend/names.h"
#include "frontend/signatures.h"

namespace smelt::frontend {

/// Numbers the occurrences of layers in a body by type, in the order of the text.
void Layers::number_occurrences(LayerInstance& parent) {
  if (!parent.ordinals.empty()) return;
  const ast::Ast& tree = parent.scope->ast;
  std::map<std::string, int> counts;
  std::vector<std::pair<uint32_t, std::string>> found;
  const std::function<void(ast::ExprId)> visit = [&](ast::ExprId id) {
    if (const auto* name = tree.as<ast::NameExpr>(id)) {
      const auto [scope, decl] = scopes_.find_decl(*parent.scope, name->name);
      if (std::holds_alternative<const ast::LayerDecl*>(decl)) found.emplace_back(id.index, name->name);
    }
    ast::for_each_child(tree, tree[id], visit);
  };
  ast::for_each_child(tree, parent.decl->body, visit);
  std::ranges::sort(found, {}, [&](const auto& entry) { return tree.exprs[entry.first].span.begin; });
  for (const auto& [index, type] : found) parent.ordinals.emplace(index, counts[type]++);
}

/// Whether a layer of this body has the name that a statement binds: of `h = Dense{8}(x) + Dense{8}(y)` one alone gets
/// it.
bool Layers::is_taken(std::string_view bound) const {
  const LayerInstance* body = scopes_.frame().instance;
  if (body == nullptr) return false;
  const std::string path = occurrence_path(std::string(bound), false);
  return std::ranges::any_of(body->children,
                             [&](const auto& child) { return child.second != nullptr && child.second->path == path; });
}

/// Label, else the name it is bound to, else type and ordinal.
std::string Layers::occurrence_segment(const ast::LayerDecl& decl, ast::ExprId name_expr, const Naming& naming) {
  if (!naming.label.empty()) return std::string(naming.label);
  if (!naming.bound.empty() && !is_taken(naming.bound)) return std::string(naming.bound);
  if (scopes_.frame().instance == nullptr) return decl.name.text;
  number_occurrences(*scopes_.frame().instance);
  return fmt::format("{}{}", decl.name.text, scopes_.frame().instance->ordinals[name_expr.index]);
}

/// `repeat` adds its index: `lm.blocks.0` for what a labelled one yields, `G.Dense0.2` without a label.
std::string Layers::occurrence_path(const std::string& segment, bool named_by_repeat) const {
  std::string path = scopes_.frame().instance->path, indices;
  for (const Frame::Repeat& repeat : scopes_.frame().repeats) {
    if (repeat.label.empty())
      indices += fmt::format(".{}", repeat.index);
    else
      path += fmt::format(".{}.{}", repeat.label, repeat.index);
  }
  return named_by_repeat ? path + indices : path + "." + segment + indices;
}

LayerInstance* Layers::new_instance(const FileScope& scope, const ast::LayerDecl& decl, std::string path,
                                    std::string site_name, Span span) {
  auto instance = std::make_unique<LayerInstance>();
  instance->decl = &decl;
  instance->scope = &scope;
  instance->path = std::move(path);
  instance->site_name = std::move(site_name);
  instance->span = span;
  return instance.release();
}

Value Layers::layer_occurrence(const FileScope& scope, const ast::LayerDecl& decl,
                               const std::vector<ast::Arg>* attributes, ast::ExprId name_expr, const Naming& naming,
                               Span span) {
  if (!scopes_.frame().allows_layers || scopes_.frame().instance == nullptr) {
    diagnostics_.report(Diag::E0309, span, fmt::format("layer `{}` occurs outside a layer", decl.name.text))
        .with_help(fmt::format("declare `model name = {}{{..}}` and apply the model", decl.name.text));
    return {};
  }
  std::vector<int64_t> indices;
  for (const Frame::Repeat& repeat : scopes_.frame().repeats) indices.push_back(repeat.index);
  std::unique_ptr<LayerInstance>& child = scopes_.frame().instance->children[{name_expr.index, indices}];
  if (child == nullptr) {
    const std::string segment = occurrence_segment(decl, name_expr, naming);
    const bool named_by_repeat = naming.repeat_result && !scopes_.frame().repeats.back().label.empty();
    child.reset(new_instance(scope, decl, occurrence_path(segment, named_by_repeat),
                             named_by_repeat ? scopes_.frame().repeats.back().label : segment, span));
  }
  if (!bind_attributes(*child, attributes, span)) return {};
  return Value(LayerValue{child.get()});
}

/// Attributes are evaluated in the caller, defaults in the layer's file.
bool Layers::bind_attributes(LayerInstance& instance, const std::vector<ast::Arg>* attributes, Span span) {
  const ast::LayerDecl& decl = *instance.decl;
  const bool outside = std::exchange(scopes_.frame().around.attribute, true);
  std::optional<Args> args = attributes != nullptr ? evaluator_.eval_args(*attributes) : Args{};
  scopes_.frame().around.attribute = outside;
  if (!args) return false;
  std::vector<Calls::ParamSpec> specs;
  for (const ast::Param& attribute : decl.attributes) {
    specs.push_back({attribute.name.text, !attribute.default_value.valid()});
  }
  auto matched = calls_.match_args(decl.name.text, specs, std::move(*args), span, Brackets::Braces);
  if (!matched) return false;
  instance.attributes.clear();
  for (size_t i = 0; i < specs.size(); ++i) {
    Value value;
    if ((*matched)[i]) {
      value = (*matched)[i]->value;
      const auto* t = value.as<Tensor>();
      if (t != nullptr) {
        diagnostics_
            .report(Diag::E0502, (*matched)[i]->span,
                    fmt::format("attribute `{}` of `{}` is {}, which is known at run time only", specs[i].name,
                                decl.name.text, shapes_.describe(value)))
            .with_help("braces take compile-time values, parentheses take tensors");
        return false;
      }
    } else {
      Frame frame(*instance.scope, &scopes_.frame());
      const auto entered = scopes_.enter(frame);
      value = evaluator_.eval(decl.attributes[i].default_value);
    }
    if (value.bad()) return false;
    instance.attributes.emplace_back(specs[i].name, std::move(value));
  }
  return true;
}

Value Layers::model_value(const ast::ModelDecl& decl) {
  std::unique_ptr<LayerInstance>& model = models_[decl.name.text];
  if (model != nullptr) return Value(LayerValue{model.get()});
  const ast::Expr& expr = file_.ast[decl.layer];
  const auto* attributes = std::get_if<ast::AttrExpr>(&expr.node);
  const auto* name = file_.ast.as<ast::NameExpr>(attributes != nullptr ? attributes->callee : decl.layer);
  const auto [scope, found] =
      name != nullptr ? scopes_.find_decl(file_, name->name) : std::pair<const FileScope*, Decl>{};
  const auto* layer = std::get_if<const ast::LayerDecl*>(&found);
  Frame frame(file_, &scopes_.frame());
  const auto entered = scopes_.enter(frame);
  Value result;
  if (layer != nullptr) {
    model.reset(new_instance(*scope, **layer, decl.name.text, decl.name.text, expr.span));
    if (bind_attributes(*model, attributes != nullptr ? &attributes->args : nullptr, expr.span))
      result = Value(LayerValue{model.get()});
  } else if (name != nullptr && scope == nullptr) {
    result = names_.unknown_name(name->name, expr.span);
  } else {
    diagnostics_.report(Diag::E0403, expr.span, fmt::format("model `{}` names a layer", decl.name.text))
        .with_help("write `model net = MLP{hidden = 256}`");
  }
  if (result.bad()) models_.erase(decl.name.text);
  return result;
}

/// Compares what the head was bound to with the first application, whose sizes the parameters have.
void Layers::check_first_call(LayerInstance& instance, Span span) {
  const bool first = instance.first_call.empty();
  instance.call_span = span;
  for (const auto& [name, binding] : scopes_.frame().blocks.front()) {
    const auto* dim = binding.value.as<DimValue>();
    if (dim == nullptr) continue;
    const auto known = scopes_.frame().outside.find(dim->id);
    if (known != scopes_.frame().outside.end() && first) instance.first_call[name] = {known->second, span};
  }
}

/// Evaluates the body with the head bound to the arguments; axes of the result are the caller's.
/// `with { init.weight = Normal(0, 0.02) }` holds for the layer and those in it, until one of them says otherwise.
bool Layers::take_options(const ast::LayerDecl& decl) {
  for (const ast::Arg& option : decl.options) {
    if (std::ranges::find(kStartOptions, option.name.text) == std::end(kStartOptions)) {
      diagnostics_.report(Diag::E0403, option.name.span, fmt::format("no option `{}`", printable(option.name.text)))
          .with_help("`init.weight` and `init.bias` say what random parameters start with");
      return false;
    }
    Value start = evaluator_.eval(option.value);
    const bool usable = start.as<Distribution>() != nullptr || shapes_.number_of(start);
    if (!usable && !start.bad()) {
      diagnostics_
          .report(Diag::E0610, scopes_.span_of(option.value),
                  fmt::format("`{}` is {}", option.name.text, shapes_.describe(start)))
          .with_help("write a distribution, such as `Normal(0, 0.02)`, or a number");
    }
    if (!usable) return false;
    scopes_.frame().around.starts[option.name.text] = std::move(start);
  }
  return true;
}

Value Layers::call_layer(const LayerValue& layer, Args args, Span span) {
  LayerInstance& instance = *layer.instance;
  const ast::LayerDecl& decl = *instance.decl;
  for (const Frame* frame = &scopes_.frame(); frame != nullptr; frame = frame->caller) {
    const LayerInstance* const l = frame->instance;
    if (l == nullptr || l->decl != &decl || !instance.path.starts_with(l->path + ".")) continue;
    diagnostics_.report(Diag::E0305, span, fmt::format("layer `{}` contains itself", decl.name.text))
        .label(decl.name.span, "declared here")
        .with_help("use `repeat` for a stack of layers");
    return {};
  }
  std::vector<Calls::ParamSpec> specs;
  for (const ast::Param& param : decl.params) specs.push_back({param.name.text, !param.default_value.valid()});
  auto matched = calls_.match_args(decl.name.text, specs, std::move(args), span);
  if (!matched) return {};
  if (instance.path.find('.') == std::string::npos) {
    std::vector<Value> given;
    for (const auto& argument : *matched) given.push_back(argument ? argument->value : Value());
    graph_.note_use(fmt::format("{}{}", kNetUse, instance.path), given, {}, span);
  }

  Frame frame(*instance.scope, &scopes_.frame());
  frame.instance = &instance;
  frame.allows_layers = true;
  frame.loop = scopes_.frame().loop;
  frame.site = calls_.call_path(instance.site_name);
  if (layer.averages != nullptr) frame.around.averages = layer.averages;
  const LibraryCall library_call(graph_.context(), diagnostics_, *scopes_.frame().scope, *instance.scope, span);
  const auto entered = scopes_.enter(frame);
  for (const auto& [name, value] : instance.attributes)
    frame.blocks.back().emplace(name, Binding{value, decl.name.span});
  Value result;
  bool good = take_options(decl);
  const uint32_t begin = graph_.builder().graph().size();
  for (size_t i = 0; i < specs.size() && good; ++i) {
    Value value = (*matched)[i] ? std::move((*matched)[i]->value) : evaluator_.eval(decl.params[i].default_value);
    good = signatures_.bind_head(decl.params[i].type, value, (*matched)[i] ? (*matched)[i]->span : span,
                                 decl.params[i].name, decl.name.text);
    if (good) scopes_.bind(decl.params[i].name, std::move(value));
  }
  if (good) {
    signatures_.name_untyped(decl.params);
    check_first_call(instance, span);
    const size_t errors = diagnostics_.reported_errors();
    result = evaluator_.eval_statements(decl.body);
    const Span where = decl.body.statements.empty() ? decl.body.span : scopes_.ast()[decl.body.statements.back()].span;
    if (!signatures_.check_result(decl.result, result, where, fmt::format("layer `{}`", decl.name.text)))
      result = Value();
    if (diagnostics_.reported_errors() > errors) result = Value();
  }
  graph_.context().layer_calls.push_back({begin, graph_.builder().graph().size(), decl.name.text, instance.path, span});
  return signatures_.to_outside(std::move(result), frame);
}

}  // namespace smelt::frontend
