// Expressions: one function a syntax node.
#include <fmt/format.h>

#include <array>
#include <cctype>
#include <cmath>
#include <limits>
#include <utility>

#include "frontend/calls.h"
#include "frontend/evaluator.h"
#include "frontend/formula.h"
#include "frontend/intrinsics.h"
#include "frontend/layers.h"
#include "frontend/names.h"
#include "frontend/scan.h"
#include "frontend/selectors.h"
#include "frontend/signatures.h"
#include "frontend/variables.h"
#include "ir/support/source.h"
#include "ir/support/stack.h"

namespace smelt::frontend {

std::optional<Args> Evaluator::eval_args(const std::vector<ast::Arg>& args) {
  Args list;
  bool good = true;
  for (const ast::Arg& arg : args) {
    Value value;
    if (arg.spread) {
      const auto* name = scopes_.ast().as<ast::NameExpr>(arg.value);
      const auto rest = scopes_.frame().rests.find(name->name);
      if (rest != scopes_.frame().rests.end())
        value = Value(ShapeValue{rest->second});
      else
        diagnostics_.report(Diag::E0301, scopes_.span_of(arg.value),
                            fmt::format("`...{}` is not bound by the head of this body", name->name));
    } else {
      value = eval(arg.value);
    }
    good = good && !value.bad();
    list.push_back({arg.name.text, std::move(value), scopes_.span_of(arg.value)});
  }
  if (!good) return std::nullopt;
  return list;
}

Value Evaluator::eval(ast::ExprId id, const Naming& naming) {
  if (!id.valid()) return {};
  const bool over = depth_ >= limits_.depth;
  if (over || stack_left() < 0.125) {  // of which what is called from here, and does not call back, takes little
    diagnostics_
        .report(Diag::E0008, scopes_.span_of(id),
                fmt::format("calls and expressions are nested more than {} levels deep{}", depth_,
                            over ? "" : ": there is no stack for more"))
        .with_help(over ? double_limit(&Limits::depth, limits_) : std::string(kRaiseStack));
    return {};
  }
  if (diagnostics_.is_full() || graph_.is_too_large()) return {};
  ++depth_;
  Value value = std::visit([&](const auto& e) { return eval_node(e, id, naming); }, scopes_.ast()[id].node);
  --depth_;
  return value;
}

Value Evaluator::eval_node(const ast::NumberExpr& e, ast::ExprId, const Naming&) {
  return e.is_integer ? Value(e.integer) : Value(e.value);
}
Value Evaluator::eval_node(const ast::StringExpr& e, ast::ExprId, const Naming&) { return Value(e.value); }
Value Evaluator::eval_node(const ast::NameExpr& e, ast::ExprId id, const Naming& naming) {
  return names_.name_value(e.name, scopes_.span_of(id), id, naming);
}

Value Evaluator::eval_node(const ast::TupleExpr& e, ast::ExprId, const Naming& naming) {
  TupleValue tuple;
  for (const ast::ExprId item : e.items) {
    tuple.items.push_back(eval(item, naming));
    if (tuple.items.back().bad()) return {};
  }
  return Value(std::move(tuple));
}

Value Evaluator::eval_node(const ast::ListExpr& e, ast::ExprId, const Naming&) {
  const std::optional<Axes> axes = signatures_.axes_expression(e.items);
  return axes ? Value(ShapeValue{*axes}) : Value();
}

Value Evaluator::eval_node(const ast::UnaryExpr& e, ast::ExprId id, const Naming& naming) {
  const Value x = eval(e.operand, naming);
  if (x.bad()) return {};
  const Span span = scopes_.span_of(id);
  if (e.op == ast::UnaryOp::Not) {
    if (const auto* flag = x.as<bool>()) return Value(!*flag);
    return graph_.elementwise(OpKind::Not, {x}, span, "`not`");
  }
  if (const auto* whole = x.as<int64_t>(); whole != nullptr && *whole != std::numeric_limits<int64_t>::min())
    return Value(-*whole);
  if (const auto* number = x.as<double>()) return Value(-*number);
  if (const auto* dim = x.as<DimValue>())
    return graph_.binary(ast::BinaryOp::Sub, Value(int64_t{0}), Value(*dim), span);
  return graph_.elementwise(OpKind::Neg, {x}, span, "`-`");
}

static bool is_literal(const ast::Ast& ast, ast::ExprId id) {
  const auto* negated = ast.as<ast::UnaryExpr>(id);
  return ast.as<ast::NumberExpr>(negated != nullptr ? negated->operand : id) != nullptr;
}

Value Evaluator::eval_node(const ast::BinaryExpr& e, ast::ExprId id, const Naming& naming) {
  const bool is_range = e.op == ast::BinaryOp::Range;
  if (is_range && (!e.lhs.valid() || !e.rhs.valid())) {
    diagnostics_.report(Diag::E0403, scopes_.span_of(id), "a range without an end stands in an index only")
        .with_help("write `x[1 ..]` for all but the first");
    return {};
  }
  const Value a = eval(e.lhs, naming), b = eval(e.rhs, naming);
  if (a.bad() || b.bad()) return {};
  if (e.op == ast::BinaryOp::MatMul) return graph_.matmul(a, b, scopes_.span_of(id));
  if (is_range) {
    diagnostics_.report(Diag::E0403, scopes_.span_of(id), "a range stands in an index or after `in` only")
        .with_help("write `x[a .. b]` for elements a to b - 1 of x, and `index(D)` for the numbers along a dim");
    return {};
  }
  if (e.op == ast::BinaryOp::Div && !scopes_.frame().around.dim_size) {
    warn_of_zero(a, b, scopes_.span_of(id));
    const bool is_size = scopes_.frame().around.attribute;
    if (!is_size && is_literal(scopes_.ast(), e.lhs) && is_literal(scopes_.ast(), e.rhs)) warn_of_rounding(id, naming);
  }
  if (b.as<Tensor>() != nullptr) warn_of_rounding(e.lhs, naming);
  if (a.as<Tensor>() != nullptr) warn_of_rounding(e.rhs, naming);
  return graph_.binary(e.op, a, b, scopes_.span_of(id));
}

/// A quotient of whole numbers that meets a tensor, or of two that stand in the text, is seldom meant to be rounded, as
/// one that is a size is.
void Evaluator::warn_of_rounding(ast::ExprId operand, const Naming& naming) {
  const auto* quotient = scopes_.ast().as<ast::BinaryExpr>(operand);
  if (quotient == nullptr || quotient->op != ast::BinaryOp::Div || scopes_.frame().scope->library) return;
  const Value a = eval(quotient->lhs, naming), b = eval(quotient->rhs, naming);
  const auto x = shapes_.number_of(a), y = shapes_.number_of(b);
  const bool whole = x && y && a.as<double>() == nullptr && b.as<double>() == nullptr;
  if (!whole || *y == 0 || std::abs(*x) < std::abs(*y) || std::fmod(*x, *y) == 0) return;
  diagnostics_
      .report(Diag::W0005, scopes_.span_of(operand),
              fmt::format("{} / {} is {}, because both are whole numbers", *x, *y, std::trunc(*x / *y)))
      .with_help(fmt::format("write {}.0 / {} for {}", *x, *y, *x / *y));
}

/// Whole numbers divide to whole numbers, which is seldom meant where the result is 0.
void Evaluator::warn_of_zero(const Value& a, const Value& b, Span span) {
  const auto x = shapes_.number_of(a), y = shapes_.number_of(b);
  const bool whole = x && y && a.as<double>() == nullptr && b.as<double>() == nullptr;
  if (!whole || *x == 0 || std::abs(*x) >= std::abs(*y)) return;
  diagnostics_.report(Diag::W0005, span, fmt::format("{} / {} is 0, because both are whole numbers", *x, *y))
      .with_help(fmt::format("write {}.0 / {} for a fraction", *x, *y));
}

Value Evaluator::eval_node(const ast::CallExpr& e, ast::ExprId id, const Naming& naming) {
  const Value callee = eval(e.callee, naming);
  if (callee.bad()) return {};
  if (const auto* intrinsic = callee.as<IntrinsicValue>();
      intrinsic != nullptr && intrinsic->intrinsic->in_fields_only && !scopes_.in_field()) {
    diagnostics_.report(Diag::E0403, scopes_.span_of(id),
                        fmt::format("`{}` stands in a data section only", intrinsic->intrinsic->name));
    return {};
  }
  std::optional<Args> args = eval_args(e.args);
  if (!args) return {};
  return calls_.call(callee, std::move(*args), scopes_.span_of(id),
                     printable(sources_.text(scopes_.span_of(e.callee))));
}

Value Evaluator::eval_node(const ast::AttrExpr& e, ast::ExprId id, const Naming& naming) {
  const auto* name = scopes_.ast().as<ast::NameExpr>(e.callee);
  if (name != nullptr && scopes_.find_local(name->name) == nullptr) {
    const auto [scope, decl] = scopes_.find_decl(*scopes_.frame().scope, name->name);
    if (const auto* layer = std::get_if<const ast::LayerDecl*>(&decl))
      return layers_.layer_occurrence(*scope, **layer, &e.args, e.callee, naming, scopes_.span_of(id));
  }
  const Value callee = eval(e.callee, naming);
  if (callee.bad()) return {};
  diagnostics_
      .report(Diag::E0402, scopes_.span_of(id),
              fmt::format("`{{..}}` gives attributes to a layer, not to {}", shapes_.describe(callee)))
      .with_help("arguments stand in parentheses");
  return {};
}

static std::string elements_of(const Extent& extent) {
  return extent.is_static() ? fmt::format("{} elements", extent.bound)
                            : fmt::format("up to {}, as the run says", extent.bound);
}

Value Evaluator::eval_node(const ast::AsExpr& e, ast::ExprId id, const Naming& naming) {
  const std::optional<Tensor> x = graph_.expect_tensor(eval(e.base, naming), scopes_.span_of(e.base));
  const std::optional<Axes> axes = signatures_.axes_expression(e.dims);
  if (!x || !axes) return {};
  if (axes->size() != x->axes.size()) {
    const bool call = scopes_.ast().as<ast::CallExpr>(e.base) != nullptr;
    diagnostics_
        .report(Diag::E0108, scopes_.span_of(id),
                fmt::format("`{}` has {} axes, and `as` names {}", shapes_.type_text(*x), x->axes.size(), axes->size()))
        .with_help(call ? "`as` gives each axis a name, in their order; `reshape(x, [..])` makes other axes"
                        : "`as` belongs to what stands directly before it: a sum or product that is meant has "
                          "parentheses, `(a + b) as [..]`; `reshape(x, [..])` makes other axes");
    return {};
  }
  for (size_t i = 0; i < axes->size(); ++i) {
    if ((*axes)[i].extent == x->axes[i].extent) continue;
    diagnostics_.report(
        Diag::E0108, scopes_.span_of(id),
        fmt::format("axis {} of `{}` has {}, {} has {}", i, shapes_.type_text(*x), elements_of(x->axes[i].extent),
                    shapes_.axis_text((*axes)[i]), elements_of((*axes)[i].extent)));
    return {};
  }
  Tensor renamed = *x;
  renamed.axes = *axes;
  return Value(renamed);
}

Value Evaluator::eval_node(const ast::IndexExpr& e, ast::ExprId id, const Naming& naming) {
  if (formulas_.is_access(e)) return formulas_.accessed(e, scopes_.span_of(id));
  if (e.bounded) {
    diagnostics_
        .report(Diag::E0111, scopes_.span_of(id), "`?[..]` reads at the indices of a formula, and there is none in it")
        .with_help("write `y[i < n] = x?[2*i - 1]`");
    return {};
  }
  const Value base = eval(e.base, naming);
  if (base.bad()) return {};
  if (const auto* dist = base.as<Distribution>()) {  // Normal(0, 1)[B, Z]
    Axes axes;
    for (const ast::ExprId index : e.indices) {
      if (const auto* list = scopes_.ast().as<ast::ListExpr>(index)) {
        const auto rest = signatures_.axes_expression(list->items);
        if (!rest) return {};
        axes.insert(axes.end(), rest->begin(), rest->end());
      } else if (const auto axis = signatures_.axis_expression(index)) {
        axes.push_back(*axis);
      } else {
        return {};
      }
    }
    Distribution shaped = *dist;
    shaped.shape = std::move(axes);
    return Value(std::move(shaped));
  }
  const std::optional<Tensor> x = graph_.expect_tensor(base, scopes_.span_of(e.base));
  return x ? index_tensor(*x, e, scopes_.span_of(id)) : Value();
}

Value Evaluator::eval_node(const ast::MemberExpr&, ast::ExprId id, const Naming& naming) {
  return selectors_.member_value(id, naming);
}

// x |> f(a) = f(x, a);  x |> L{c} = L{c}(x);  x |> f = f(x)
Value Evaluator::eval_node(const ast::PipeExpr& e, ast::ExprId id, const Naming& naming) {
  const Value value = eval(e.value, naming);
  if (value.bad()) return {};
  if (const auto* repeat = scopes_.ast().as<ast::RepeatExpr>(e.stage))
    return apply_repeat(*repeat, value, e.label.text, naming, scopes_.span_of(id));
  Naming named = naming;
  named.label = e.label.text;
  return apply_stage(e.stage, value, scopes_.span_of(e.value), named, scopes_.span_of(e.stage));
}

/// A stage's layer is named by its label, never by the name that the whole pipe is bound to.
Value Evaluator::apply_stage(ast::ExprId stage, Value value, Span value_span, const Naming& naming, Span span) {
  const Naming of_stage{{}, naming.label, naming.repeat_result};
  Args args{{"", std::move(value), value_span}};
  Value callee;
  if (const auto* call_expr = scopes_.ast().as<ast::CallExpr>(stage)) {
    callee = eval(call_expr->callee, of_stage);
    std::optional<Args> more = callee.bad() ? std::nullopt : eval_args(call_expr->args);
    if (!more)
      callee = Value();
    else
      args.insert(args.end(), more->begin(), more->end());
  } else {
    callee = eval(stage, of_stage);
  }
  if (callee.bad()) return {};
  return calls_.call(callee, std::move(args), span, printable(sources_.text(span)));
}

namespace {

/// One turn of a `repeat`: names of its own, and its index in the paths of layers and in the numbers of draws.
class RepeatTurn {
 public:
  RepeatTurn(Frame& frame, const std::string& label, int64_t index, int64_t count)
      : frame_(frame), names_(frame), outer_(frame.loop) {
    frame_.loop = outer_ * count + index;
    frame_.repeats.push_back({label, index});
  }
  RepeatTurn(const RepeatTurn&) = delete;
  RepeatTurn& operator=(const RepeatTurn&) = delete;
  ~RepeatTurn() {
    frame_.repeats.pop_back();
    frame_.loop = outer_;
  }

 private:
  Frame& frame_;
  BlockScope names_;
  int64_t outer_;
};

/// How much the turns of a `repeat` add to the function at hand and to the start values. Where two turns in a row have
/// added the same, all do: whether the whole of it is too large is known without building it.
class TurnSizes {
 public:
  TurnSizes(const FunctionContext& function, const FunctionContext& starts) : of_{&function, &starts} {}

  void note() {
    for (size_t k = 0; k < of_.size(); ++k) {
      const size_t size = of_[k]->function.graph.size();
      before_[k] = std::exchange(last_[k], size - size_[k]);
      size_[k] = size;
    }
    ++turns_;
  }
  void foresee(GraphWriter& graph, int64_t left, Span span) const {
    constexpr int kFirstThree = 4;  // that begins says how much the second and the third have added
    if (turns_ != kFirstThree || last_ != before_) return;
    for (size_t k = 0; k < of_.size(); ++k)
      graph.check_number_of_nodes(*of_[k], size_[k] + last_[k] * static_cast<size_t>(left), span);
  }

 private:
  std::array<const FunctionContext*, 2> of_;
  std::array<size_t, 2> size_{}, last_{}, before_{};
  int turns_ = 0;
};

bool has_word(std::string_view text, std::string_view word) {
  const auto is_part = [&](size_t at) {
    return at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) != 0 || text[at] == '_');
  };
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1))
    if (!is_part(at - 1) && !is_part(at + word.size())) return true;
  return false;
}

}  // namespace

/// Applies the layer that the body yields, fresh for each i, to the running value.
Value Evaluator::apply_repeat(const ast::RepeatExpr& e, Value value, const std::string& label, const Naming& naming,
                              Span span) {
  const std::optional<int64_t> count =
      shapes_.expect_integer(eval(e.count, naming), scopes_.span_of(e.count), "the count of `repeat`");
  if (!count) return {};
  if (*count < 0 || *count > 10000) {
    diagnostics_.report(Diag::E0503, scopes_.span_of(e.count),
                        fmt::format("`repeat` runs {} times; it may run 0 to 10000 times", *count));
    return {};
  }
  if (e.body.statements.empty() || scopes_.ast().as<ast::ExprStmt>(e.body.statements.back()) == nullptr) {
    diagnostics_.report(Diag::E0403, e.body.span, "the body of `repeat` ends with a layer")
        .with_help("write `repeat i < n { Dense{h} }`");
    return {};
  }
  const Naming inside{naming.bound, {}, naming.repeat_result};
  TurnSizes sizes(graph_.context(), variables_.start_values());
  const bool alike = !has_word(sources_.text(e.body.span), e.index.text);
  for (int64_t i = 0; i < *count && !value.bad() && !diagnostics_.is_full(); ++i) {
    sizes.note();
    if (alike) sizes.foresee(graph_, *count - i, scopes_.span_of(e.count));
    const RepeatTurn turn(scopes_.frame(), label, i, *count);
    scopes_.bind(e.index, Value(i));
    Value ignored;
    for (size_t s = 0; s + 1 < e.body.statements.size(); ++s)
      execute(scopes_.ast()[e.body.statements[s]], ignored, inside);
    const ast::ExprId end = scopes_.ast().as<ast::ExprStmt>(e.body.statements.back())->value;
    value = apply_body_end(end, std::move(value), {.repeat_result = true}, span);
  }
  return value;
}

/// What a body of `repeat` ends with: a layer or function, or several, `Dense{h} |> relu`, each of which has a name of
/// its own below that of the turn.
Value Evaluator::apply_body_end(ast::ExprId end, Value value, const Naming& naming, Span span) {
  const auto* pipe = scopes_.ast().as<ast::PipeExpr>(end);
  if (pipe == nullptr) return apply_stage(end, std::move(value), span, naming, scopes_.span_of(end));
  value = apply_body_end(pipe->value, std::move(value), {}, span);
  if (value.bad()) return {};
  if (const auto* repeat = scopes_.ast().as<ast::RepeatExpr>(pipe->stage))
    return apply_repeat(*repeat, std::move(value), pipe->label.text, {}, scopes_.span_of(end));
  Naming named;
  named.label = pipe->label.text;
  return apply_stage(pipe->stage, std::move(value), scopes_.span_of(pipe->value), named, scopes_.span_of(pipe->stage));
}

Value Evaluator::eval_node(const ast::RepeatExpr&, ast::ExprId id, const Naming&) {
  diagnostics_.report(Diag::E0403, scopes_.span_of(id), "`repeat` stands only after `|>`");
  return {};
}
Value Evaluator::eval_node(const ast::ScanExpr& e, ast::ExprId id, const Naming&) {
  return scans_.evaluated(e, scopes_.span_of(id));
}
Value Evaluator::eval_node(const ast::ReduceExpr& e, ast::ExprId id, const Naming&) {
  return formulas_.reduced(e, scopes_.span_of(id));
}

Value Evaluator::eval_node(const ast::IfExpr& e, ast::ExprId, const Naming& naming) {
  const Value condition = eval(e.condition, naming);
  if (condition.bad()) return {};
  const auto* flag = condition.as<bool>();
  if (flag == nullptr) {
    diagnostics_
        .report(Diag::E0502, scopes_.span_of(e.condition),
                fmt::format("the condition of `if` is {}, not a compile-time boolean", shapes_.describe(condition)))
        .with_help("choose by element with `where(c, a, b)`");
    return {};
  }
  return eval_block(*flag ? e.then_block : e.else_block, naming);
}

}  // namespace smelt::frontend
