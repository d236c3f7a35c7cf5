// What a name means: locals of the body, then declarations of its file, then the standard library.
#include "frontend/names.h"
#include "frontend/formula.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numbers>

#include "frontend/averages.h"
#include "frontend/evaluator.h"
#include "frontend/intrinsics.h"
#include "frontend/layers.h"
#include "frontend/signatures.h"
#include "frontend/variables.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

/// `dim X = e`: e is a number, or another dim whose extent the new axis shares. `dim X <= n` is a run-time
/// size.
Value Names::declare_dim(const ast::DimDecl& decl, bool top_level) {
  Frame frame = scopes_.frame();
  frame.around.dim_size = true;
  const auto entered = scopes_.enter(frame);
  if (!decl.runtime && scopes_.ast().as<ast::NameExpr>(decl.extent) == nullptr &&
      evaluator_.has_run_time_dim(decl.extent)) {
    const std::optional<Extent> extent = evaluator_.run_time_extent(decl.extent);
    if (!extent) return {};
    return Value(DimValue{shapes_.new_dim(decl.name.text, *extent, decl.name.span)});
  }
  const Value size = evaluator_.eval(decl.extent);
  if (size.bad()) return {};
  if (const auto* other = size.as<DimValue>(); other != nullptr && !decl.runtime) {
    const Dim& d = shapes_.dim_of(other->id);
    return Value(DimValue{shapes_.new_dim(decl.name.text, d.extent, decl.name.span, d.runtime)});
  }
  std::optional<int64_t> bound =
      shapes_.expect_integer(size, scopes_.span_of(decl.extent), fmt::format("the size of dim `{}`", decl.name.text));
  if (!bound) return {};
  if (*bound < 1 || *bound > kMaxDim) {
    diagnostics_.report(Diag::E0201, scopes_.span_of(decl.extent),
                        fmt::format("dim `{}` is {}; a dim is from 1 to {}", decl.name.text, *bound, kMaxDim));
    return {};
  }
  if (!decl.runtime) return Value(DimValue{shapes_.new_dim(decl.name.text, Extent(*bound), decl.name.span)});
  if (!top_level) return unsupported(diagnostics_, decl.name.span, "a run-time dim inside a body");
  const ast::TrainDecl* const train = train_section(file_);
  if (train != nullptr && options_.batch) {
    for (const ast::TrainItem& item : train->items) {
      const auto* batch = std::get_if<ast::BatchItem>(&item.node);
      if (batch != nullptr && batch->dim.text == decl.name.text) bound = std::max(*bound, *options_.batch);
    }
  }
  experiment_.symbols.push_back({decl.name.text, *bound});
  const auto symbol = static_cast<int32_t>(experiment_.symbols.size() - 1);
  return Value(DimValue{shapes_.new_dim(decl.name.text, Extent(*bound, symbol), decl.name.span, true)});
}

std::optional<Value> builtin_constant(std::string_view name) {
  static const std::map<std::string_view, Value> kConstants = {
      {"true", Value(true)},
      {"false", Value(false)},
      {"inf", Value(std::numeric_limits<double>::infinity())},
      {"pi", Value(std::numbers::pi)},
      {"none", Value(NoneValue{})},
      {"same", Value(std::string("same"))},  // a margin with which a window of stride 1 keeps the size
      {"f32", Value(DTypeValue{DType::F32})},
      {"f64", Value(DTypeValue{DType::F64})},
      {"f16", Value(DTypeValue{DType::F16})},
      {"bf16", Value(DTypeValue{DType::BF16})},
      {"i32", Value(DTypeValue{DType::I32})},
      {"i64", Value(DTypeValue{DType::I64})},
      {"bool", Value(DTypeValue{DType::Bool})},
  };
  const auto found = kConstants.find(name);
  return found == kConstants.end() ? std::nullopt : std::optional(found->second);
}

Value Names::binding_value(const Binding& binding) {
  if (binding.variable < 0) return binding.value;
  const auto* t = binding.value.as<Tensor>();
  return t == nullptr ? binding.value : Value(graph_.variable_value(binding.variable, t->axes));
}

Value Names::name_value(const std::string& name, Span span, ast::ExprId expr, const Naming& naming) {
  if (std::optional<Value> index = formulas_.index_value(name, span)) return *index;
  if (const Binding* local = scopes_.find_local(name)) return binding_value(*local);
  if (name == "training") return Value(graph_.context().training);
  const auto [scope, decl] = scopes_.find_decl(*scopes_.frame().scope, name);
  if (scope != nullptr) return decl_value(*scope, decl, span, expr, naming);
  if (const Intrinsic* intrinsic = find_intrinsic(name)) return Value(IntrinsicValue{intrinsic});
  if (std::optional<Value> constant = builtin_constant(name)) return *constant;
  return unknown_name(name, span);
}

Value Names::unknown_name(const std::string& name, Span span) {
  if (std::holds_alternative<const ast::LayerDecl*>(library_.find(name).second)) {
    diagnostics_.report(Diag::E0301, span, fmt::format("layer `{}` is not imported", name))
        .with_help(fmt::format("add `import std.nn ({})`", name));
    return {};
  }
  std::vector<std::string> known = library_.names();
  for (const auto& block : scopes_.frame().blocks)
    for (const auto& [local, binding] : block) known.push_back(local);
  for (const auto& [declared, decl] : scopes_.frame().scope->names) known.push_back(declared);
  for (const std::string_view intrinsic : intrinsic_names()) known.emplace_back(intrinsic);
  diagnostics_.report(Diag::E0301, span, fmt::format("unknown name `{}`", printable(name)))
      .with_help(did_you_mean(name, known));
  return {};
}

/// Computes a declaration's value once; a declaration that needs itself is an error.
Value Names::global(std::string_view name, Span span, const std::function<Value()>& compute) {
  if (const auto known = globals_.find(name); known != globals_.end()) return known->second;
  if (!computing_.insert(std::string(name)).second) {
    diagnostics_.report(Diag::E0305, span, fmt::format("`{}` is defined by itself", name));
    return {};
  }
  Frame frame(file_, &scopes_.frame());
  frame.allows_layers = true;
  const auto entered = scopes_.enter(frame);
  Value value = compute();
  computing_.erase(computing_.find(name));
  globals_.emplace(name, value);
  return value;
}

Value Names::decl_value(const FileScope& scope, const Decl& decl, Span span, ast::ExprId expr, const Naming& naming) {
  if (const auto* dim = std::get_if<const ast::DimDecl*>(&decl)) {
    return global((*dim)->name.text, (*dim)->name.span, [&] {
      Value declared = declare_dim(**dim, true);
      if (const auto* value = declared.as<DimValue>()) shapes_.set_of_file(value->id);
      return declared;
    });
  }
  if (const auto* config = std::get_if<const ast::ConfigDecl*>(&decl)) return config_value(**config);
  if (const auto* constant = std::get_if<const ast::ConstDecl*>(&decl)) return const_value(**constant);
  if (const auto* layer = std::get_if<const ast::LayerDecl*>(&decl))
    return layers_.layer_occurrence(scope, **layer, nullptr, expr, naming, span);
  if (const auto* model = std::get_if<const ast::ModelDecl*>(&decl)) return layers_.model_value(**model);
  if (const auto* fn = std::get_if<const ast::FnDecl*>(&decl)) return Value(FnValue{&scope, *fn});
  if (const auto* average = std::get_if<const ast::EmaItem*>(&decl)) return averages_.value(**average);
  diagnostics_.report(Diag::E0403, span, "an optimiser is used in a `step` line only");
  return {};
}

void Names::declare_all() {
  for (const ast::DimDecl& decl : file_.ast.dims) decl_value(file_, Decl(&decl), decl.name.span, {}, {});
  for (const ast::ConstDecl& decl : file_.ast.consts) const_value(decl);
  for (const ast::ModelDecl& decl : file_.ast.models) {
    layers_.model_value(decl);
    if (decl.from.valid()) read_start(decl);
  }
}

/// The file that a model begins as. It is read when a session begins: what the model's variables are is known then.
void Names::read_start(const ast::ModelDecl& decl) {
  const Span span = file_.ast[decl.from].span;
  if (const auto* path = file_.ast.as<ast::StringExpr>(decl.from); path != nullptr && !path->value.empty()) {
    experiment_.pretrained.push_back({decl.name.text, path->value, span});
    return;
  }
  diagnostics_.report(Diag::E0401, span, "`from` takes the path of a safetensors file as a string")
      .with_help(fmt::format("write `model {} = .. from \"{}.safetensors\"`", decl.name.text, decl.name.text));
}

/// A constant with a type is a variable that nothing writes; one without is a compile-time value.
Value Names::const_value(const ast::ConstDecl& decl) {
  const Value declared = global(decl.name.text, decl.name.span, [&]() -> Value {
    if (!decl.type.valid()) {
      if (!decl.random) return evaluator_.eval(decl.value);
      diagnostics_.report(Diag::E0504, decl.name.span, "a random constant needs a type")
          .with_help(fmt::format("write `const {}: f32[..] ~ ..`", decl.name.text));
      return {};
    }
    const ast::Type& type = file_.ast[decl.type];
    Tensor t;
    const std::optional<DType> dtype = signatures_.dtype_of(type, &t.label);
    const std::optional<Axes> axes = signatures_.axes_expression(type.dims);
    if (!dtype || !axes || !shapes_.check_size(*dtype, *axes, type.span)) return {};
    t.dtype = *dtype;
    t.axes = *axes;
    const auto variable =
        variables_.declare_variable(VariableKind::Const, decl.name.text, t, decl.value, decl.random, decl.name.span);
    if (!variable) return {};
    return Value(t);
  });
  const auto* t = declared.as<Tensor>();
  if (t == nullptr) return declared;
  Tensor value = graph_.variable_value(variables_.find_variable(decl.name.text), t->axes);
  value.label = t->label;
  return Value(value);
}

}  // namespace smelt::frontend
