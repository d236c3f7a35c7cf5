// Applying functions: matching arguments to parameters, calling functions of the language and of the
// compiler.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/elaborator.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

BuilderCall::BuilderCall(Builder& builder, Span call) : builder_(builder), outer_(builder.call()) {
  builder_.set_call(call);
}

LibraryCall::LibraryCall(FunctionContext* context, Diagnostics& diagnostics, const FileScope& caller,
                         const FileScope& callee, Span span) {
  if (caller.library == callee.library) return;
  const Span call = callee.library ? span : Span{};
  diagnostics_ = &diagnostics;
  outer_message_ = diagnostics.set_call(call);
  if (context == nullptr) return;
  builder_ = &context->builder;
  outer_node_ = builder_->call();
  builder_->set_call(call);
}

LibraryCall::~LibraryCall() {
  if (diagnostics_ != nullptr) diagnostics_->set_call(outer_message_);
  if (builder_ != nullptr) builder_->set_call(outer_node_);
}

std::optional<Args> Elaborator::eval_args(const std::vector<ast::Arg>& args) {
  Args list;
  bool good = true;
  for (const ast::Arg& arg : args) {
    Value value;
    if (arg.spread) {
      const auto* name = ast().as<ast::NameExpr>(arg.value);
      const auto rest = frame_->rests.find(name->name);
      if (rest != frame_->rests.end())
        value = Value(ShapeValue{rest->second});
      else
        error(Diag::E0301, span_of(arg.value),
              fmt::format("`...{}` is not bound by the head of this body", name->name));
    } else {
      value = eval(arg.value);
    }
    good = good && !value.bad();
    list.push_back({arg.name.text, std::move(value), span_of(arg.value)});
  }
  if (!good) return std::nullopt;
  return list;
}

/// Positional arguments fill the parameters from the left, named ones by name.
std::optional<std::vector<std::optional<ArgValue>>> Elaborator::match_args(std::string_view callee,
                                                                           const std::vector<ParamSpec>& specs,
                                                                           Args args, Span span) {
  std::vector<std::optional<ArgValue>> matched(specs.size());
  std::vector<std::string> names, listing;
  for (const ParamSpec& spec : specs) {
    names.push_back(spec.name);
    listing.push_back(spec.required ? spec.name : spec.name + " (optional)");
  }
  const std::string signature = fmt::format("`{}` takes ({})", callee, fmt::join(listing, ", "));
  size_t next = 0;
  for (ArgValue& arg : args) {
    size_t at = next;
    if (!arg.name.empty()) {
      at = static_cast<size_t>(std::ranges::find(names, arg.name) - names.begin());
      if (at == names.size()) {
        error(Diag::E0401, arg.span, fmt::format("`{}` has no parameter `{}`", callee, printable(arg.name)))
            .note(signature)
            .with_help(did_you_mean(arg.name, names));
        return std::nullopt;
      }
    } else if (next++ >= specs.size()) {
      error(Diag::E0401, arg.span,
            fmt::format("`{}` takes {} arguments and is given {}", callee, specs.size(), args.size()))
          .note(signature);
      return std::nullopt;
    }
    if (matched[at]) {
      error(Diag::E0401, arg.span, fmt::format("parameter `{}` of `{}` is given twice", names[at], callee))
          .label(matched[at]->span, "first here");
      return std::nullopt;
    }
    matched[at] = std::move(arg);
  }
  for (size_t i = 0; i < specs.size(); ++i) {
    if (matched[i] || !specs[i].required) continue;
    error(Diag::E0401, span, fmt::format("`{}` lacks an argument for `{}`", callee, specs[i].name)).note(signature);
    return std::nullopt;
  }
  return matched;
}

Value Elaborator::call(const Value& callee, Args args, Span span, std::string_view name) {
  if (const auto* layer = callee.as<LayerValue>()) return call_layer(*layer->instance, std::move(args), span);
  if (const auto* fn = callee.as<FnValue>()) return call_fn(*fn->scope, *fn->decl, std::move(args), span);
  if (const auto* intrinsic = callee.as<IntrinsicValue>())
    return call_intrinsic(*intrinsic->intrinsic, std::move(args), span);
  if (!callee.bad())
    error(Diag::E0402, span, fmt::format("`{}` is {}, which cannot be applied", name, describe(callee)));
  return {};
}

Value Elaborator::call_intrinsic(const Intrinsic& intrinsic, Args args, Span span) {
  std::vector<ParamSpec> specs;  // "x, over=" -> {x}, {over, optional}
  std::string_view rest = intrinsic.params;
  while (!rest.empty()) {
    std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 2));
    const bool optional = item.ends_with('=');
    if (optional) item.remove_suffix(1);
    specs.push_back({std::string(item), !optional});
  }
  auto matched = match_args(intrinsic.name, specs, std::move(args), span);
  if (!matched) return {};
  Call call{*this, std::move(*matched), span, intrinsic.name};
  return intrinsic.evaluate(call);
}

Value Elaborator::call_library(std::string_view fn, std::vector<Value> values, Span span) {
  const auto [scope, decl] = library_.find(fn);
  const auto* found = std::get_if<const ast::FnDecl*>(&decl);
  if (found == nullptr) return {};
  Args args;
  for (Value& value : values) args.push_back({"", std::move(value), span});
  return call_fn(*scope, **found, std::move(args), span);
}

/// Path of the next call of `segment` inside the running body: calls are numbered in program order.
std::string Elaborator::call_path(const std::string& segment) {
  const std::string path = frame_->site + "/" + segment;
  return fmt::format("{}#{}", path, context_->calls[path]++);
}

bool Elaborator::is_schedule(const ast::FnDecl& decl) const {
  const size_t count = decl.params.size();
  return count >= 2 && decl.params[count - 2].name.text == "i" && decl.params[count - 1].name.text == "n";
}

/// Evaluates the body with its parameters bound. Parameters that the caller leaves out come from the context
/// where it has them: i and n of a schedule, fan_in and fan_out of an initialiser.
Value Elaborator::call_fn(const FileScope& scope, const ast::FnDecl& decl, Args args, Span span) {
  for (const Frame* frame = frame_; frame != nullptr; frame = frame->caller) {
    if (frame->function != &decl) continue;
    error(Diag::E0305, span, fmt::format("function `{}` calls itself", decl.name.text))
        .label(decl.name.span, "declared here");
    return {};
  }
  const Surroundings& around = frame_->around;
  std::vector<ParamSpec> specs;
  for (const ast::Param& param : decl.params)
    specs.push_back({param.name.text, !param.default_value.valid() && !around.defaults.contains(param.name.text)});
  auto matched = match_args(decl.name.text, specs, std::move(args), span);
  if (!matched) return {};
  if (!around.setting.empty() && is_schedule(decl)) {  // numbers of a schedule on a step line are run-time inputs
    for (auto& arg : *matched) {
      const auto number = arg ? number_of(arg->value) : std::nullopt;
      if (number)
        arg->value = setting(fmt::format("{}.{}.{}", around.setting, decl.name.text,
                                         specs[static_cast<size_t>(&arg - matched->data())].name),
                             *number);
    }
  }
  Frame frame(scope, frame_);
  frame.function = &decl;
  frame.loop = frame_->loop;
  frame.site = context_ != nullptr ? call_path(decl.name.text) : frame_->site;
  const LibraryCall library_call(context_, diagnostics_, *frame_->scope, scope, span);
  const Entered entered(frame_, frame);
  Value result;
  bool good = true;
  for (size_t i = 0; i < specs.size() && good; ++i) {
    Value value;
    if ((*matched)[i])
      value = std::move((*matched)[i]->value);
    else if (const auto known = around.defaults.find(specs[i].name);
             known != around.defaults.end() && !decl.params[i].default_value.valid())
      value = known->second;
    else
      value = eval(decl.params[i].default_value);
    const Span where = (*matched)[i] ? (*matched)[i]->span : span;
    good = !value.bad() && bind_head(decl.params[i].type, value, where, decl.params[i].name, decl.name.text);
    if (good) bind(decl.params[i].name, std::move(value));
  }
  if (good) {
    const size_t errors = diagnostics_.num_errors();
    result = eval_body(decl.body);
    if (!scope.library &&
        !check_result(decl.result, result, decl.body.expr.valid() ? span_of(decl.body.expr) : decl.name.span,
                      fmt::format("function `{}`", decl.name.text)))
      result = Value();
    if (diagnostics_.num_errors() > errors) result = Value();
    if (decl.vjp && !result.bad()) result = with_adjoint(decl, result);
  }
  return to_outside(std::move(result), frame);
}

}  // namespace smelt::frontend
