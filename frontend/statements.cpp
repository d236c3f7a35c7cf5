// Statements: one function a kind.
#include <fmt/format.h>

#include "frontend/ast_walk.h"
#include "frontend/elaborator.h"

namespace smelt::frontend {

/// The value of a block is that of its last statement, when that is an expression.
Value Elaborator::eval_block(const ast::Block& block, const Naming& naming) {
  const BlockScope scope(*frame_);
  Value result;
  bool good = true, has_value = false;
  for (const ast::StmtId id : block.statements) {
    Value value;
    good = execute(ast()[id], value, naming) && good;
    has_value = ast().as<ast::ExprStmt>(id) != nullptr;
    result = std::move(value);
  }
  if (good && !has_value) {
    error(Diag::E0403, block.span, "the block has no value")
        .with_help("its last line is an expression, the value of the block");
    return {};
  }
  return good ? result : Value();
}

Value Elaborator::eval_body(const ast::Body& body) {
  return body.expr.valid() ? eval(body.expr) : eval_block(body.block);
}

bool Elaborator::execute(const ast::Stmt& stmt, Value& result, const Naming& naming) {
  const size_t errors = diagnostics_.num_errors();
  std::visit(ast::Overloaded{
                 [&](const ast::ParamStmt& s) { execute_param(s, stmt.span); },
                 [&](const ast::StateStmt& s) { execute_state(s); },
                 [&](const ast::DimStmt& s) {
                   for (const ast::DimDecl& decl : s.dims) {
                     Value dim = declare_dim(decl, false);
                     if (const auto* id = dim.as<DimValue>())
                       frame_->outside.emplace(id->id, Axis{kAnonymous, axis_of(id->id).extent});
                     bind(decl.name, std::move(dim));
                   }
                 },
                 [&](const ast::AssertStmt& s) { execute_assert(s); },
                 [&](const ast::ReportStmt& s) { execute_report(s, naming); },
                 [&](const ast::AssignStmt& s) { execute_assign(s, naming, stmt.span); },
                 [&](const ast::DrawStmt& s) { execute_draw(s, naming); },
                 [&](const ast::WriteStmt& s) { execute_write(s, naming); },
                 [&](const ast::YieldStmt&) { unsupported(stmt.span, "`yield`"); },
                 [&](const ast::ExprStmt& s) { result = eval(s.value, naming); },
             },
             stmt.node);
  return diagnostics_.num_errors() == errors;
}

void Elaborator::execute_param(const ast::ParamStmt& stmt, Span span) {
  const ast::Declarator& decl = stmt.decl;
  const ast::Type& type = ast()[decl.type];
  Tensor t;
  const std::optional<DType> dtype = dtype_of(type, &t.label);
  const std::optional<Axes> axes = axes_expression(type.dims);
  bool present = true;
  if (decl.condition.valid()) {
    const std::optional<bool> condition =
        expect_bool(eval(decl.condition), span_of(decl.condition), "the condition of a parameter");
    present = condition.value_or(true);
  }
  const bool good = dtype && axes && check_size(*dtype, *axes, type.span);
  for (const ast::Ident& name : decl.names) {
    if (!good || frame_->instance == nullptr) {
      bind(name, {});
      if (frame_->instance == nullptr) error(Diag::E0309, span, "a `param` stands in a layer only");
      continue;
    }
    t.dtype = *dtype;
    t.axes = *axes;
    if (!present) {
      bind(name, Value(constant(0, t.dtype, t.axes)));
      continue;
    }
    const std::string path = frame_->instance->path + "." + name.text;
    const auto variable = declare_variable(VariableKind::Param, path, t, decl.init, decl.random, name.span);
    if (variable)
      bind(name, Value(variable_value(*variable, t.axes)), *variable);
    else
      bind(name, {});
  }
}

void Elaborator::execute_state(const ast::StateStmt& stmt) {
  for (const ast::Declarator& decl : stmt.decls) {
    for (const ast::Ident& name : decl.names) {
      Tensor t;
      std::string path;
      VariableKind kind = VariableKind::State;
      if (frame_->instance == nullptr) {  // an optimiser: shape and start value come from the expression
        if (frame_->slots.empty()) {
          error(Diag::E0309, name.span, "a `state` stands in a layer or an optimiser only");
          bind(name, {});
          continue;
        }
        const std::optional<Tensor> init = expect_tensor(eval(decl.init), span_of(decl.init));
        if (!init) {
          bind(name, {});
          continue;
        }
        t = *init;
        path = frame_->slots + "/" + name.text;
        kind = VariableKind::Slot;
      } else {
        if (!decl.type.valid()) {
          error(Diag::E0504, name.span, "a `state` of a layer needs a type")
              .with_help(fmt::format("write `state {}: f32[..] = zeros()`", name.text));
          bind(name, {});
          continue;
        }
        const ast::Type& type = ast()[decl.type];
        const std::optional<DType> dtype = dtype_of(type, &t.label);
        const std::optional<Axes> axes = axes_expression(type.dims);
        if (!dtype || !axes || !check_size(*dtype, *axes, type.span)) {
          bind(name, {});
          continue;
        }
        t.dtype = *dtype;
        t.axes = *axes;
        path = frame_->instance->path + "." + name.text;
      }
      const auto variable = declare_variable(kind, path, t, decl.init, decl.random, name.span);
      if (variable)
        bind(name, Value(variable_value(*variable, t.axes)), *variable, true);
      else
        bind(name, {});
    }
  }
}

void Elaborator::execute_assign(const ast::AssignStmt& stmt, const Naming& naming, Span span) {
  if (stmt.formula) {
    unsupported(span, "an index formula");
    return bind(stmt.targets[0], {});
  }
  Naming named = naming;
  named.bound = stmt.tuple || stmt.targets.empty() ? std::string_view() : stmt.targets[0].text;
  Value value = eval(stmt.value, named);
  if (!stmt.tuple) return bind(stmt.targets[0], std::move(value));
  auto* tuple = value.as<TupleValue>();
  if (!value.bad() && (tuple == nullptr || tuple->items.size() != stmt.targets.size())) {
    error(Diag::E0403, span, fmt::format("{} names for {}", stmt.targets.size(), describe(value)));
    tuple = nullptr;
  }
  for (size_t i = 0; i < stmt.targets.size(); ++i) bind(stmt.targets[i], tuple != nullptr ? tuple->items[i] : Value());
}

// z ~ Normal(0, 1)[B, Z]    z ~ q over K
void Elaborator::execute_draw(const ast::DrawStmt& stmt, const Naming& naming) {
  const Value value = eval(stmt.distribution, naming);
  const auto* dist = value.as<Distribution>();
  if (dist == nullptr) {
    if (!value.bad())
      error(Diag::E0610, span_of(stmt.distribution),
            fmt::format("`~` draws from a distribution, not from {}", describe(value)))
          .with_help("bind a value with `=`");
    return bind(stmt.target, {});
  }
  Distribution shaped = *dist;
  if (stmt.over.valid()) {
    const std::optional<Axes> over = expect_axes(eval(stmt.over), span_of(stmt.over));
    if (!over) return bind(stmt.target, {});
    Axes axes = *over;
    const Axes own = distribution_axes(shaped, span_of(stmt.distribution));
    axes.insert(axes.end(), own.begin(), own.end());
    shaped.shape = std::move(axes);
  }
  bind(stmt.target, draw_site(shaped, stmt.target.text, span_of(stmt.distribution)));
}

// m <- lerp(m, x, 0.1) when training
void Elaborator::execute_write(const ast::WriteStmt& stmt, const Naming& naming) {
  Binding* const target = find_local(stmt.target.text);
  if (target == nullptr || !target->writable) {
    if (target != nullptr && target->value.bad()) return;
    auto& diagnostic = error(Diag::E0608, stmt.target.span,
                             fmt::format("`{}` is not a state of this body", printable(stmt.target.text)));
    if (target != nullptr) diagnostic.label(target->span, "bound here");
    diagnostic.with_help("declare it with `state`, or bind a new name with `=`");
    return;
  }
  std::optional<bool> when = true;
  if (stmt.when.valid()) when = expect_bool(eval(stmt.when), span_of(stmt.when), "the condition after `when`");
  if (!when || !*when) return;
  const std::optional<Tensor> value =
      expect_tensor(eval(stmt.value, naming), span_of(stmt.value), target->value.as<Tensor>()->dtype);
  if (!value) return;
  const Tensor like = *target->value.as<Tensor>();
  std::optional<Tensor> typed = value->weak ? cast_to(*value, like.dtype, span_of(stmt.value)) : value;
  if (typed && typed->dtype != like.dtype) {
    error(Diag::E0501, span_of(stmt.value),
          fmt::format("state `{}` is {}, the value is {}", stmt.target.text, to_string(like.dtype),
                      to_string(typed->dtype)));
    return;
  }
  if (typed) typed = broadcast_to(*typed, like.axes, span_of(stmt.value));
  if (typed) write_variable(target->variable, *typed);
}

void Elaborator::execute_report(const ast::ReportStmt& stmt, const Naming& naming) {
  for (const ast::Arg& item : stmt.items) {
    const std::optional<Tensor> value = expect_tensor(eval(item.value, naming), span_of(item.value), real());
    if (!value) continue;
    if (!value->axes.empty()) {
      error(Diag::E0601, span_of(item.value),
            fmt::format("report `{}` is `{}`, not a scalar", item.name.text, type_text(*value)))
          .with_help("apply `mean` or `sum`");
      continue;
    }
    const std::optional<Tensor> number = reported(*value, span_of(item.value));
    if (number) context_->reports.emplace_back(item.name.text, number->node);
  }
}

void Elaborator::execute_assert(const ast::AssertStmt& stmt) {
  const std::optional<bool> holds = expect_bool(eval(stmt.condition), span_of(stmt.condition), "an assertion");
  const Value message = eval(stmt.message);
  const auto* text = message.as<std::string>();
  if (!holds || *holds || text == nullptr) return;
  const Span here = span_of(stmt.condition);
  auto& diagnostic =
      error(Diag::E0206, frame_->instance != nullptr && frame_->scope->library ? frame_->instance->span : here,
            interpolate(*text));
  diagnostic.label(here, "asserted here");
}

/// `{name}` in a message becomes the value of a name.
std::string Elaborator::interpolate(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t close = text[i] == '{' ? text.find('}', i) : std::string::npos;
    if (close == std::string::npos) {
      out += text[i++];
      continue;
    }
    const std::string name = text.substr(i + 1, close - i - 1);
    const Binding* const local = find_local(name);
    out += local != nullptr ? describe(local->value) : "{" + name + "}";
    i = close + 1;
  }
  return out;
}

}  // namespace smelt::frontend
