// Applying functions: matching arguments to parameters, calling functions of the language and of the
// compiler.
#include "frontend/calls.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/evaluator.h"
#include "frontend/foreign_words.h"
#include "frontend/intrinsics.h"
#include "frontend/layers.h"
#include "frontend/number_ranges.h"
#include "frontend/signatures.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

/// Names of layers are capitalised; those of distributions, which have parentheses as well, belong to intrinsics.
static std::string help_for_missing(std::string_view callee, std::string_view param, Brackets brackets) {
  if (brackets == Brackets::Braces)
    return fmt::format(
        "what a layer is made of stands in braces, what it is applied to in parentheses: `{}{{{} = ..}}`", callee,
        param);
  const bool layer = !callee.empty() && callee[0] >= 'A' && callee[0] <= 'Z' && find_intrinsic(callee) == nullptr;
  return layer ? fmt::format(
                     "a piped value, also a tuple of several, is the first argument; others stand behind it: "
                     "`x |> {}({} = ..)`",
                     callee, param)
               : "";
}

/// The axes of the first operand, one of which is meant.
static std::string help_for_over(const Shapes& shapes, const std::vector<std::optional<ArgValue>>& args) {
  for (const std::optional<ArgValue>& arg : args) {
    const auto* x = arg ? arg->value.as<Tensor>() : nullptr;
    if (x == nullptr || x->axes.empty()) continue;
    const Axis& last = x->axes.back();
    return last.dim == kAnonymous
               ? fmt::format("its axes are {}: name one with `as [..]`, and write `over=`", shapes.axes_text(x->axes))
               : fmt::format("write `over={}`, or another of {}", shapes.axis_text(last), shapes.axes_text(x->axes));
  }
  return {};
}

std::optional<std::vector<std::optional<ArgValue>>> Calls::match_args(std::string_view callee,
                                                                      const std::vector<ParamSpec>& specs, Args args,
                                                                      Span span, Brackets brackets) {
  std::vector<std::optional<ArgValue>> matched(specs.size());
  std::vector<std::string> names, listing;
  for (const ParamSpec& spec : specs) {
    names.push_back(spec.name);
    listing.push_back(spec.required ? spec.name : spec.name + " (optional)");
  }
  const auto [open, close] = brackets == Brackets::Braces ? std::pair("{", "}") : std::pair("(", ")");
  const std::string signature = fmt::format("`{}` takes {}{}{}", callee, open, fmt::join(listing, ", "), close);
  size_t next = 0;
  for (ArgValue& arg : args) {
    size_t at = next;
    if (!arg.name.empty()) {
      at = static_cast<size_t>(std::ranges::find(names, arg.name) - names.begin());
      if (at == names.size()) {
        diagnostics_
            .report(Diag::E0401, arg.span, fmt::format("`{}` has no parameter `{}`", callee, printable(arg.name)))
            .note(signature)
            .with_help(help_for_option(arg.name, names));
        return std::nullopt;
      }
    } else if (next++ >= specs.size()) {
      diagnostics_
          .report(Diag::E0401, arg.span,
                  fmt::format("`{}` takes {} arguments and is given {}", callee, specs.size(), args.size()))
          .note(signature);
      return std::nullopt;
    }
    if (matched[at]) {
      diagnostics_
          .report(Diag::E0401, arg.span, fmt::format("parameter `{}` of `{}` is given twice", names[at], callee))
          .label(matched[at]->span, "first here");
      return std::nullopt;
    }
    matched[at] = std::move(arg);
  }
  for (size_t i = 0; i < specs.size(); ++i) {
    if (matched[i] || !specs[i].required) continue;
    diagnostics_.report(Diag::E0401, span, fmt::format("`{}` lacks an argument for `{}`", callee, specs[i].name))
        .note(signature)
        .with_help(specs[i].name == "over" ? help_for_over(shapes_, matched)
                                           : help_for_missing(callee, specs[i].name, brackets));
    return std::nullopt;
  }
  return matched;
}

/// What to write instead of applying a value that is no function.
static std::string help_for_callee(const Shapes& shapes, const Value& callee, std::string_view name) {
  if (callee.as<Selector>() != nullptr)
    return fmt::format("a net is applied itself: `{}(x)`", name.substr(0, name.find('.')));
  if (const auto* shape = callee.as<ShapeValue>())
    return fmt::format("`x |> reshape({0})` gives x that shape, and `x as {0}` names its axes",
                       shapes.axes_text(shape->axes));
  if (callee.as<TupleValue>() != nullptr) return "apply a function to each: `(f(x), g(x))`";
  if (callee.as<Distribution>() != nullptr)
    return "draw from it, `z ~ ..`; its axes stand in brackets, `Normal(0, 1)[B, Z]`";
  if (callee.as<Tensor>() != nullptr || callee.as<DimValue>() != nullptr || shapes.number_of(callee))
    return "`x * y` multiplies, `x[i]` takes an element, and a function stands behind `|>`";
  return {};
}

Value Calls::call(const Value& callee, Args args, Span span, std::string_view name) {
  if (const auto* layer = callee.as<LayerValue>()) return layers_.call_layer(*layer, std::move(args), span);
  if (const auto* fn = callee.as<FnValue>()) return call_fn(*fn->scope, *fn->decl, std::move(args), span);
  if (const auto* intrinsic = callee.as<IntrinsicValue>())
    return call_intrinsic(*intrinsic->intrinsic, std::move(args), span);
  if (!callee.bad())
    diagnostics_
        .report(Diag::E0402, span, fmt::format("`{}` is {}, which cannot be applied", name, shapes_.describe(callee)))
        .with_help(help_for_callee(shapes_, callee, name));
  return {};
}

/// The arguments without a name become one, a tuple; a tuple that is alone is it already.
static void collect_unnamed(Args& args) {
  TupleValue tuple;
  Args rest;
  Span span;
  for (ArgValue& arg : args) {
    if (!arg.name.empty()) {
      rest.push_back(std::move(arg));
      continue;
    }
    if (tuple.items.empty()) span = arg.span;
    tuple.items.push_back(std::move(arg.value));
  }
  const bool alone = tuple.items.size() == 1 && tuple.items[0].as<TupleValue>() != nullptr;
  Value all = alone ? tuple.items[0] : Value(std::move(tuple));
  args = std::move(rest);
  args.insert(args.begin(), ArgValue{"", std::move(all), span});
}

/// By parameter; what is left out has no value.
static std::vector<Value> values_of(const std::vector<std::optional<ArgValue>>& args) {
  std::vector<Value> values;
  for (const std::optional<ArgValue>& arg : args) values.push_back(arg ? arg->value : Value());
  return values;
}

Value Calls::call_intrinsic(const Intrinsic& intrinsic, Args args, Span span) {
  std::vector<ParamSpec> specs;  // "x, over=" -> {x}, {over, optional}
  std::string_view rest = intrinsic.params;
  while (!rest.empty()) {
    std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 2));
    const bool optional = item.ends_with('=');
    if (optional) item.remove_suffix(1);
    specs.push_back({std::string(item), !optional});
  }
  if (!specs.empty() && specs[0].name.ends_with("..")) {  // "xs.., over=": arguments without a name are one tuple
    specs[0].name.resize(specs[0].name.size() - 2);
    collect_unnamed(args);
  }
  auto matched = match_args(intrinsic.name, specs, std::move(args), span);
  if (!matched) return {};
  Call call{provided_, intrinsic, std::move(*matched), span};
  const Value result = intrinsic.evaluate(call);
  if (intrinsic.distribution == nullptr) graph_.note_use(intrinsic.name, values_of(call.args), result, span);
  return result;
}

Value Calls::call_library(std::string_view fn, std::vector<Value> values, Span span) {
  const auto [scope, decl] = library_.find(fn);
  const auto* found = std::get_if<const ast::FnDecl*>(&decl);
  if (found == nullptr) return {};
  Args args;
  for (Value& value : values) args.push_back({"", std::move(value), span});
  return call_fn(*scope, **found, std::move(args), span);
}

bool Calls::in_library(std::string_view fn) const {
  return std::holds_alternative<const ast::FnDecl*>(library_.find(fn).second);
}

std::string Calls::call_path(const std::string& segment) {
  const std::string path = scopes_.frame().site + "/" + segment;
  return fmt::format("{}#{}", path, graph_.context().calls[path]++);
}

/// Its last parameters are i and n, which a step line or an objective supplies.
static bool is_schedule(const ast::FnDecl& decl) {
  const size_t count = decl.params.size();
  return count >= 2 && decl.params[count - 2].name.text == "i" && decl.params[count - 1].name.text == "n";
}

/// A schedule that is applied without i and n.
static bool leaves_time_out(const ast::FnDecl& decl, const Args& args) {
  const auto unnamed =
      static_cast<size_t>(std::ranges::count_if(args, [](const ArgValue& a) { return a.name.empty(); }));
  const bool named = std::ranges::any_of(args, [](const ArgValue& a) { return a.name == "i" || a.name == "n"; });
  return is_schedule(decl) && !named && unnamed + 2 <= decl.params.size();
}

/// i and n of a schedule: iterations done and in all, where a function of the experiment runs during training.
std::optional<std::map<std::string, Value>> Calls::time_of_run(const ast::FnDecl& decl, Span span) {
  const FunctionContext& context = graph_.context();
  const FunctionKind kind = context.function.kind;
  if (!context.is_init && scopes_.frame().around.field == nullptr &&
      (kind == FunctionKind::Step || kind == FunctionKind::Loss)) {
    const auto scalar = [&](const char* name, ScalarKind of) {
      return Value(graph_.scalar_argument(graph_.scalar_input(name, of, 0, -1)));
    };
    return std::map<std::string, Value>{{"i", scalar("iteration", ScalarKind::Iteration)},
                                        {"n", scalar("horizon", ScalarKind::Horizon)}};
  }
  diagnostics_
      .report(Diag::E0403, span, fmt::format("`{}` is a schedule, and training has no time here", decl.name.text))
      .note("schedules change from step to step: they stand in objectives and in the options of `step` lines")
      .with_help(
          fmt::format("write the number that is meant, or give the time: `{}(.., i = 500, n = 1000)`", decl.name.text));
  return std::nullopt;
}

/// Numbers that the library or a schedule cannot take; those that the run computes are not known here.
bool Calls::check_ranges(const FileScope& scope, const ast::FnDecl& decl,
                         const std::vector<std::optional<ArgValue>>& matched) {
  for (size_t i = 0; i < matched.size(); ++i) {
    const auto number = matched[i] ? shapes_.number_of(matched[i]->value) : std::nullopt;
    if (!number) continue;
    const std::string& name = decl.params[i].name.text;
    const NumberRange* broken = is_schedule(decl) ? broken_range(kAnySchedule, name, *number) : nullptr;
    if (broken == nullptr && scope.library) broken = broken_range(kAnyLibrary, name, *number);
    if (broken == nullptr && scope.library) broken = broken_range(decl.name.text, name, *number);
    if (broken == nullptr) continue;
    diagnostics_
        .report(Diag::E0503, matched[i]->span, fmt::format("`{}` is {}; it has to be {}", name, *number, broken->text))
        .with_help(std::string(broken->help));
    return false;
  }
  return true;
}

/// Evaluates the body with its parameters bound. Parameters that the caller leaves out come from the context
/// where it has them: i and n of a schedule, fan_in and fan_out of an initialiser.
Value Calls::call_fn(const FileScope& scope, const ast::FnDecl& decl, Args args, Span span) {
  for (const Frame* frame = &scopes_.frame(); frame != nullptr; frame = frame->caller) {
    if (frame->function != &decl) continue;
    diagnostics_.report(Diag::E0305, span, fmt::format("function `{}` calls itself", decl.name.text))
        .label(decl.name.span, "declared here");
    return {};
  }
  const Surroundings& around = scopes_.frame().around;
  std::map<std::string, Value> time;
  if (leaves_time_out(decl, args) && !around.defaults.contains("i")) {
    auto of_run = time_of_run(decl, span);
    if (!of_run) return {};
    time = std::move(*of_run);
  }
  const std::map<std::string, Value>& defaults = time.empty() ? around.defaults : time;
  std::vector<ParamSpec> specs;
  for (const ast::Param& param : decl.params)
    specs.push_back({param.name.text, !param.default_value.valid() && !defaults.contains(param.name.text)});
  auto matched = match_args(decl.name.text, specs, std::move(args), span);
  if (!matched) return {};
  if (!check_ranges(scope, decl, *matched)) return {};
  if (!around.setting.empty() && is_schedule(decl)) {  // numbers of a schedule on a step line are run-time inputs
    for (auto& arg : *matched) {
      const auto number = arg ? shapes_.number_of(arg->value) : std::nullopt;
      if (number)
        arg->value = graph_.setting(fmt::format("{}.{}.{}", around.setting, decl.name.text,
                                                specs[static_cast<size_t>(&arg - matched->data())].name),
                                    *number);
    }
  }
  const std::vector<Value> given = scope.library ? values_of(*matched) : std::vector<Value>();
  Value result = evaluated_fn(scope, decl, *matched, defaults, span);
  if (scope.library) graph_.note_use(decl.name.text, given, result, span);
  return result;
}

/// The body of a function in a frame of its own.
Value Calls::evaluated_fn(const FileScope& scope, const ast::FnDecl& decl,
                          std::vector<std::optional<ArgValue>>& matched, const std::map<std::string, Value>& defaults,
                          Span span) {
  Frame frame(scope, &scopes_.frame());
  frame.function = &decl;
  frame.loop = scopes_.frame().loop;
  frame.site = call_path(decl.name.text);
  const LibraryCall library_call(graph_.context(), diagnostics_, *scopes_.frame().scope, scope, span);
  const auto entered = scopes_.enter(frame);
  Value result;
  bool good = true;
  for (size_t i = 0; i < matched.size() && good; ++i) {
    Value value;
    if (matched[i])
      value = std::move(matched[i]->value);
    else if (const auto known = defaults.find(decl.params[i].name.text);
             known != defaults.end() && !decl.params[i].default_value.valid())
      value = known->second;
    else
      value = evaluator_.eval(decl.params[i].default_value);
    const Span where = matched[i] ? matched[i]->span : span;
    good =
        !value.bad() && signatures_.bind_head(decl.params[i].type, value, where, decl.params[i].name, decl.name.text);
    if (good) scopes_.bind(decl.params[i].name, std::move(value));
  }
  if (good) {
    signatures_.name_untyped(decl.params);
    const size_t errors = diagnostics_.reported_errors();
    result = evaluator_.eval_body(decl.body);
    if (!signatures_.check_result(decl.result, result,
                                  decl.body.expr.valid() ? scopes_.span_of(decl.body.expr) : decl.name.span,
                                  fmt::format("function `{}`", decl.name.text)))
      result = Value();
    if (diagnostics_.reported_errors() > errors) result = Value();
    if (decl.vjp && !result.bad()) result = with_adjoint(decl, result);
  }
  return signatures_.to_outside(std::move(result), frame);
}

}  // namespace smelt::frontend
