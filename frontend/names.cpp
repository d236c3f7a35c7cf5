// What a name means: locals of the body, then declarations of its file, then the standard library.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <numbers>

#include "frontend/elaborator.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

std::optional<Value> builtin_constant(std::string_view name) {
  static const std::map<std::string_view, Value> kConstants = {
      {"true", Value(true)},
      {"false", Value(false)},
      {"inf", Value(std::numeric_limits<double>::infinity())},
      {"pi", Value(std::numbers::pi)},
      {"none", Value(NoneValue{})},
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

Binding* Elaborator::find_local(std::string_view name) {
  for (size_t i = frame_->blocks.size(); i-- > 0;) {
    const auto found = frame_->blocks[i].find(name);
    if (found != frame_->blocks[i].end()) return &found->second;
  }
  return nullptr;
}

Value Elaborator::binding_value(const Binding& binding) {
  if (binding.variable < 0) return binding.value;
  const auto* t = binding.value.as<Tensor>();
  return t == nullptr ? binding.value : Value(variable_value(binding.variable, t->axes));
}

void Elaborator::bind(const ast::Ident& name, Value value, int32_t variable, bool writable) {
  frame_->blocks.back().insert_or_assign(name.text, Binding{std::move(value), name.span, variable, writable});
}

std::pair<const FileScope*, Decl> Elaborator::find_decl(const FileScope& from, std::string_view name) const {
  if (const auto own = from.names.find(name); own != from.names.end()) return {&from, own->second};
  const auto [scope, decl] = library_.find(name);
  if (scope == nullptr) return {nullptr, {}};
  if (from.library || !std::holds_alternative<const ast::LayerDecl*>(decl)) return {scope, decl};
  for (const ast::ImportDecl& import : from.ast.imports) {
    for (const ast::Ident& imported : import.names)
      if (imported.text == name) return {scope, decl};
  }
  return {nullptr, {}};
}

Value Elaborator::name_value(const std::string& name, Span span, ast::ExprId expr, const Naming& naming) {
  if (const Binding* local = find_local(name)) return binding_value(*local);
  if (name == "training") return Value(context_ != nullptr && context_->training);
  const auto [scope, decl] = find_decl(*frame_->scope, name);
  if (scope != nullptr) return decl_value(*scope, decl, span, expr, naming);
  if (const Intrinsic* intrinsic = find_intrinsic(name)) return Value(IntrinsicValue{intrinsic});
  if (std::optional<Value> constant = builtin_constant(name)) return *constant;
  return unknown_name(name, span);
}

Value Elaborator::unknown_name(const std::string& name, Span span) {
  if (std::holds_alternative<const ast::LayerDecl*>(library_.find(name).second)) {
    error(Diag::E0301, span, fmt::format("layer `{}` is not imported", name))
        .with_help(fmt::format("add `import std.nn ({})`", name));
    return {};
  }
  std::vector<std::string> known = library_.names();
  for (const auto& block : frame_->blocks)
    for (const auto& [local, binding] : block) known.push_back(local);
  for (const auto& [declared, decl] : frame_->scope->names) known.push_back(declared);
  for (const std::string_view intrinsic : intrinsic_names()) known.emplace_back(intrinsic);
  error(Diag::E0301, span, fmt::format("unknown name `{}`", printable(name))).with_help(did_you_mean(name, known));
  return {};
}

/// Computes a declaration's value once; a declaration that needs itself is an error.
Value Elaborator::global(std::string_view name, Span span, const std::function<Value()>& compute) {
  if (const auto known = globals_.find(name); known != globals_.end()) return known->second;
  if (!computing_.insert(std::string(name)).second) {
    error(Diag::E0305, span, fmt::format("`{}` is defined by itself", name));
    return {};
  }
  Frame frame(file_, frame_);
  frame.allows_layers = true;
  const Entered entered(frame_, frame);
  Value value = compute();
  computing_.erase(computing_.find(name));
  globals_.emplace(name, value);
  return value;
}

Value Elaborator::decl_value(const FileScope& scope, const Decl& decl, Span span, ast::ExprId expr,
                             const Naming& naming) {
  if (const auto* dim = std::get_if<const ast::DimDecl*>(&decl)) {
    return global((*dim)->name.text, (*dim)->name.span, [&] { return declare_dim(**dim, true); });
  }
  if (const auto* config = std::get_if<const ast::ConfigDecl*>(&decl)) return config_value(**config);
  if (const auto* constant = std::get_if<const ast::ConstDecl*>(&decl)) return const_value(**constant);
  if (const auto* layer = std::get_if<const ast::LayerDecl*>(&decl))
    return layer_occurrence(scope, **layer, nullptr, expr, naming, span);
  if (const auto* model = std::get_if<const ast::ModelDecl*>(&decl)) return model_value(**model);
  if (const auto* fn = std::get_if<const ast::FnDecl*>(&decl)) return Value(FnValue{&scope, *fn});
  error(Diag::E0403, span, "an optimiser is used in a `step` line only");
  return {};
}

Value Elaborator::config_value(const ast::ConfigDecl& decl) {
  if (const auto set = config_.find(decl.name.text); set != config_.end()) return set->second;
  return global(decl.name.text, decl.name.span, [&]() -> Value {
    Value value = eval(decl.value);
    if (const auto* dim = value.as<DimValue>()) {
      if (const auto n = number_of(*dim)) value = static_cast<int64_t>(*n);
    }
    if (value.as<int64_t>() || value.as<double>() || value.as<bool>() || value.as<std::string>() || value.bad())
      return value;
    error(Diag::E0502, span_of(decl.value),
          fmt::format("a config entry is a number, a boolean or a string, not {}", describe(value)));
    return {};
  });
}

namespace {

/// The text of `--set` as a value of the default's type.
std::optional<Value> parse_setting(const std::string& text, const Value& like) {
  const char* const end = text.data() + text.size();
  if (like.as<bool>()) {
    if (text == "true" || text == "false") return Value(text == "true");
    return std::nullopt;
  }
  if (like.as<std::string>()) return Value(text);
  if (like.as<int64_t>()) {
    int64_t whole = 0;
    const auto [at, problem] = std::from_chars(text.data(), end, whole);
    return problem == std::errc() && at == end ? std::optional<Value>(whole) : std::nullopt;
  }
  double number = 0;
  const auto [at, problem] = std::from_chars(text.data(), end, number);
  return problem == std::errc() && at == end ? std::optional<Value>(number) : std::nullopt;
}

std::string setting_text(const Value& value) {
  if (const auto* whole = value.as<int64_t>()) return fmt::format("{}", *whole);
  if (const auto* number = value.as<double>()) return fmt::format("{}", *number);
  if (const auto* flag = value.as<bool>()) return *flag ? "true" : "false";
  if (const auto* text = value.as<std::string>()) return *text;
  return {};
}

}  // namespace

void Elaborator::set_config() {
  std::vector<std::string> names;
  for (const ast::ConfigDecl& decl : file_.ast.configs) names.push_back(decl.name.text);
  for (const auto& [name, text] : options_.config) {
    const auto decl = std::ranges::find(file_.ast.configs, name, [](const ast::ConfigDecl& d) { return d.name.text; });
    if (decl == file_.ast.configs.end()) {
      std::string help = did_you_mean(name, names);
      if (help.empty())
        help = names.empty() ? "the file has no `config`" : fmt::format("the file has {}", fmt::join(names, ", "));
      error(Diag::E0310, {}, fmt::format("`--set {}` names no config entry", printable(name)))
          .with_help(std::move(help));
      continue;
    }
    const Value standard = config_value(*decl);
    const std::optional<Value> value = parse_setting(text, standard);
    if (value)
      config_[name] = *value;
    else if (!standard.bad()) {
      error(Diag::E0310, decl->name.span,
            fmt::format("`--set {}={}` does not have the type of the default", name, printable(text)))
          .caret(fmt::format("default {}", setting_text(standard)));
    }
  }
  for (const ast::ConfigDecl& decl : file_.ast.configs) {
    experiment_.config.push_back({decl.name.text, setting_text(config_value(decl))});
  }
}

/// A constant with a type is a variable that nothing writes; one without is a compile-time value.
Value Elaborator::const_value(const ast::ConstDecl& decl) {
  const Value declared = global(decl.name.text, decl.name.span, [&]() -> Value {
    if (!decl.type.valid()) {
      if (!decl.random) return eval(decl.value);
      error(Diag::E0504, decl.name.span, "a random constant needs a type")
          .with_help(fmt::format("write `const {}: f32[..] ~ ..`", decl.name.text));
      return {};
    }
    const ast::Type& type = file_.ast[decl.type];
    Tensor t;
    const std::optional<DType> dtype = dtype_of(type, &t.label);
    const std::optional<Axes> axes = axes_expression(type.dims);
    if (!dtype || !axes || !check_size(*dtype, *axes, type.span)) return {};
    t.dtype = *dtype;
    t.axes = *axes;
    const auto variable =
        declare_variable(VariableKind::Const, decl.name.text, t, decl.value, decl.random, decl.name.span);
    if (!variable) return {};
    return Value(t);
  });
  const auto* t = declared.as<Tensor>();
  if (t == nullptr) return declared;
  Tensor value = variable_value(find_variable(decl.name.text), t->axes);
  value.label = t->label;
  return Value(value);
}

}  // namespace smelt::frontend
