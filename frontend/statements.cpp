// Statements: one function a kind.
#include <fmt/format.h>

#include "frontend/ast_walk.h"
#include "frontend/distributions.h"
#include "frontend/evaluator.h"
#include "frontend/formula.h"
#include "frontend/names.h"
#include "frontend/scan.h"
#include "frontend/signatures.h"
#include "frontend/variables.h"

namespace smelt::frontend {

Value Evaluator::eval_block(const ast::Block& block, const Naming& naming) {
  const BlockScope scope(scopes_.frame());
  return eval_statements(block, naming);
}

/// The value of a block is that of its last statement, when that is an expression.
Value Evaluator::eval_statements(const ast::Block& block, const Naming& naming) {
  Value result;
  bool good = true, has_value = false;
  for (const ast::StmtId id : block.statements) {
    Value value;
    const size_t errors = diagnostics_.reported_errors();
    good = execute(scopes_.ast()[id], value, naming) && good;
    // What follows relies on what is asserted.
    if (scopes_.ast().as<ast::AssertStmt>(id) != nullptr && diagnostics_.reported_errors() > errors) return {};
    has_value = scopes_.ast().as<ast::ExprStmt>(id) != nullptr;
    result = std::move(value);
  }
  if (good && !has_value) {
    const Span end{block.span.file, std::max(block.span.begin, block.span.end - 1), block.span.end};
    diagnostics_.report(Diag::E0403, end, "the block has no value")
        .label({block.span.file, block.span.begin, block.span.begin + 1}, "it begins here")
        .with_help("its last line is an expression, the value of the block: write it before this `}`");
    return {};
  }
  return good ? result : Value();
}

Value Evaluator::eval_body(const ast::Body& body) {
  return body.expr.valid() ? eval(body.expr) : eval_statements(body.block);
}

bool Evaluator::execute(const ast::Stmt& stmt, Value& result, const Naming& naming) {
  const size_t errors = diagnostics_.reported_errors();
  std::visit(ast::Overloaded{
                 [&](const ast::ParamStmt& s) { execute_param(s, stmt.span); },
                 [&](const ast::StateStmt& s) { execute_state(s); },
                 [&](const ast::DimStmt& s) {
                   for (const ast::DimDecl& decl : s.dims) {
                     Value dim = names_.declare_dim(decl, false);
                     if (const auto* id = dim.as<DimValue>())
                       scopes_.frame().outside.emplace(id->id, Axis{kAnonymous, shapes_.axis_of(id->id).extent});
                     scopes_.bind(decl.name, std::move(dim));
                   }
                 },
                 [&](const ast::AssertStmt& s) { execute_assert(s); },
                 [&](const ast::ReportStmt& s) { execute_report(s, naming); },
                 [&](const ast::AssignStmt& s) { execute_assign(s, naming, stmt.span); },
                 [&](const ast::DrawStmt& s) { execute_draw(s, naming); },
                 [&](const ast::WriteStmt& s) { execute_write(s, naming); },
                 [&](const ast::YieldStmt& s) { scans_.yield(s, stmt.span); },
                 [&](const ast::ExprStmt& s) { result = eval(s.value, naming); },
             },
             stmt.node);
  return diagnostics_.reported_errors() == errors;
}

void Evaluator::execute_param(const ast::ParamStmt& stmt, Span span) {
  const ast::Declarator& decl = stmt.decl;
  const ast::Type& type = scopes_.ast()[decl.type];
  Tensor t;
  const std::optional<DType> dtype = signatures_.dtype_of(type, &t.label);
  const std::optional<Axes> axes = signatures_.axes_expression(type.dims);
  bool present = true;
  if (decl.condition.valid()) {
    const std::optional<bool> condition =
        shapes_.expect_bool(eval(decl.condition), scopes_.span_of(decl.condition), "the condition of a parameter");
    present = condition.value_or(true);
  }
  const bool good = dtype && axes && shapes_.check_size(*dtype, *axes, type.span);
  for (const ast::Ident& name : decl.names) {
    if (!good || scopes_.frame().instance == nullptr) {
      scopes_.bind(name, {});
      if (scopes_.frame().instance == nullptr)
        diagnostics_.report(Diag::E0309, span, "a `param` stands in a layer only");
      continue;
    }
    t.dtype = *dtype;
    t.axes = *axes;
    if (!present) {
      scopes_.bind(name, Value(graph_.constant(0, t.dtype, t.axes)));
      continue;
    }
    const std::string path = scopes_.frame().instance->path + "." + name.text;
    const auto variable = variables_.declare_variable(VariableKind::Param, path, t, decl.init, decl.random, name.span);
    if (variable)
      scopes_.bind(name, Value(graph_.variable_value(*variable, t.axes)), *variable);
    else
      scopes_.bind(name, {});
  }
}

void Evaluator::execute_state(const ast::StateStmt& stmt) {
  for (const ast::Declarator& decl : stmt.decls) {
    for (const ast::Ident& name : decl.names) {
      Tensor t;
      std::string path;
      VariableKind kind = VariableKind::State;
      if (scopes_.frame().instance == nullptr) {  // an optimiser: shape and start value come from the expression
        if (scopes_.frame().slots.empty()) {
          diagnostics_.report(Diag::E0309, name.span, "a `state` stands in a layer or an optimiser only");
          scopes_.bind(name, {});
          continue;
        }
        const std::optional<Tensor> init = graph_.expect_tensor(eval(decl.init), scopes_.span_of(decl.init));
        if (!init) {
          scopes_.bind(name, {});
          continue;
        }
        t = *init;
        path = scopes_.frame().slots + "/" + name.text;
        kind = VariableKind::Slot;
      } else {
        if (!decl.type.valid()) {
          diagnostics_.report(Diag::E0504, name.span, "a `state` of a layer needs a type")
              .with_help(fmt::format("write `state {}: f32[..] = zeros()`", name.text));
          scopes_.bind(name, {});
          continue;
        }
        const ast::Type& type = scopes_.ast()[decl.type];
        const std::optional<DType> dtype = signatures_.dtype_of(type, &t.label);
        const std::optional<Axes> axes = signatures_.axes_expression(type.dims);
        if (!dtype || !axes || !shapes_.check_size(*dtype, *axes, type.span)) {
          scopes_.bind(name, {});
          continue;
        }
        t.dtype = *dtype;
        t.axes = *axes;
        path = scopes_.frame().instance->path + "." + name.text;
      }
      const auto variable = variables_.declare_variable(kind, path, t, decl.init, decl.random, name.span);
      if (variable)
        scopes_.bind(name, Value(graph_.variable_value(*variable, t.axes)), *variable, true);
      else
        scopes_.bind(name, {});
    }
  }
}

void Evaluator::execute_assign(const ast::AssignStmt& stmt, const Naming& naming, Span span) {
  if (stmt.formula) {
    return scopes_.bind(stmt.targets[0], formulas_.assigned(stmt, span));
  }
  Naming named = naming;
  named.bound = stmt.tuple || stmt.targets.empty() ? std::string_view() : stmt.targets[0].text;
  Value value = eval(stmt.value, named);
  if (!stmt.tuple) return scopes_.bind(stmt.targets[0], std::move(value));
  auto* tuple = value.as<TupleValue>();
  if (!value.bad() && (tuple == nullptr || tuple->items.size() != stmt.targets.size())) {
    const size_t names = stmt.targets.size();
    auto& report = diagnostics_.report(
        Diag::E0403, span, fmt::format("{} name{} for {}", names, names == 1 ? "" : "s", shapes_.describe(value)));
    if (tuple == nullptr && names == 1)
      report.with_help("leave out the parentheses, which take a tuple apart: `x = ..`");
    tuple = nullptr;
  }
  for (size_t i = 0; i < stmt.targets.size(); ++i)
    scopes_.bind(stmt.targets[i], tuple != nullptr ? tuple->items[i] : Value());
}

// z ~ Normal(0, 1)[B, Z]    z ~ q over K
void Evaluator::execute_draw(const ast::DrawStmt& stmt, const Naming& naming) {
  const Value value = eval(stmt.distribution, naming);
  const auto* dist = value.as<Distribution>();
  if (dist == nullptr) {
    if (!value.bad())
      diagnostics_
          .report(Diag::E0610, scopes_.span_of(stmt.distribution),
                  fmt::format("`~` draws from a distribution, not from {}", shapes_.describe(value)))
          .with_help("bind a value with `=`");
    return scopes_.bind(stmt.target, {});
  }
  Distribution shaped = *dist;
  if (stmt.over.valid()) {
    const std::optional<Axes> over = shapes_.expect_axes(eval(stmt.over), scopes_.span_of(stmt.over));
    if (!over) return scopes_.bind(stmt.target, {});
    Axes axes = *over;
    const Axes own = distributions_.distribution_axes(shaped, scopes_.span_of(stmt.distribution));
    axes.insert(axes.end(), own.begin(), own.end());
    shaped.shape = std::move(axes);
  }
  scopes_.bind(stmt.target, distributions_.draw_site(shaped, stmt.target.text, scopes_.span_of(stmt.distribution)));
}

// m <- lerp(m, x, 0.1) when training
void Evaluator::execute_write(const ast::WriteStmt& stmt, const Naming& naming) {
  Binding* const target = scopes_.find_local(stmt.target.text);
  if (target == nullptr || !target->writable) {
    if (target != nullptr && target->value.bad()) return;
    auto& diagnostic = diagnostics_.report(
        Diag::E0608, stmt.target.span,
        fmt::format("`{}` is neither a state nor a carry of this body", printable(stmt.target.text)));
    if (target != nullptr) diagnostic.label(target->span, "bound here");
    diagnostic.with_help(
        "declare it with `state`, carry it with `scan t < T with x = ..`, or bind a new name with `=`");
    return;
  }
  std::optional<bool> when = true;
  if (stmt.when.valid())
    when = shapes_.expect_bool(eval(stmt.when), scopes_.span_of(stmt.when), "the condition after `when`");
  if (!when || !*when) return;
  if (target->scan != nullptr) return scans_.write(*target, stmt, eval(stmt.value, naming));
  if (scopes_.frame().around.averages != nullptr) return;  // the states are those of the trained net
  const std::optional<Tensor> value =
      graph_.expect_tensor(eval(stmt.value, naming), scopes_.span_of(stmt.value), target->value.as<Tensor>()->dtype);
  if (!value) return;
  const Tensor like = *target->value.as<Tensor>();
  std::optional<Tensor> typed = value->weak ? graph_.cast_to(*value, like.dtype, scopes_.span_of(stmt.value)) : value;
  if (typed && typed->dtype != like.dtype) {
    diagnostics_.report(Diag::E0501, scopes_.span_of(stmt.value),
                        fmt::format("state `{}` is {}, the value is {}", stmt.target.text, to_string(like.dtype),
                                    to_string(typed->dtype)));
    return;
  }
  if (typed) typed = graph_.broadcast_to(*typed, like.axes, scopes_.span_of(stmt.value));
  if (typed) graph_.write_variable(target->variable, *typed);
}

void Evaluator::execute_report(const ast::ReportStmt& stmt, const Naming& naming) {
  for (const ast::Arg& item : stmt.items) {
    const std::optional<Tensor> value =
        graph_.expect_tensor(eval(item.value, naming), scopes_.span_of(item.value), graph_.real());
    if (!value) continue;
    if (!value->axes.empty()) {
      diagnostics_
          .report(Diag::E0601, scopes_.span_of(item.value),
                  fmt::format("report `{}` is `{}`, not a scalar", item.name.text, shapes_.type_text(*value)))
          .with_help("apply `mean` or `sum`");
      continue;
    }
    const std::optional<Tensor> number = graph_.reported(*value, scopes_.span_of(item.value));
    if (number) graph_.context().reports.emplace_back(item.name.text, number->node);
  }
}

void Evaluator::execute_assert(const ast::AssertStmt& stmt) {
  const std::optional<bool> holds =
      shapes_.expect_bool(eval(stmt.condition), scopes_.span_of(stmt.condition), "an assertion");
  const Value message = eval(stmt.message);
  const auto* text = message.as<std::string>();
  if (!holds || *holds || text == nullptr) return;
  const Span here = scopes_.span_of(stmt.condition);
  auto& diagnostic = diagnostics_.report(
      Diag::E0206,
      scopes_.frame().instance != nullptr && scopes_.frame().scope->library ? scopes_.frame().instance->span : here,
      interpolate(*text, stmt.shown));
  diagnostic.label(here, "asserted here");
}

/// `{2 * h}` in a message becomes the value of the expression.
std::string Evaluator::interpolate(const std::string& text, const std::vector<ast::ExprId>& shown) {
  std::string out;
  size_t at = 0;
  for (const ast::ExprId id : shown) {
    const size_t open = text.find('{', at), close = text.find('}', open);
    out += text.substr(at, open - at);
    out += id.valid() ? shown_text(eval(id)) : text.substr(open, close + 1 - open);
    at = close + 1;
  }
  return out + text.substr(at);
}

std::string Evaluator::shown_text(const Value& value) {
  const auto* dim = value.as<DimValue>();  // a size, not a name of the library
  return dim != nullptr ? fmt::format("{}", shapes_.dim_of(dim->id).extent.bound) : shapes_.describe(value);
}

}  // namespace smelt::frontend
