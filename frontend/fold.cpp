// Binary operators: computed at once where both operands are known while compiling, else a node of the graph.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "frontend/graph_writer.h"

namespace smelt::frontend {

namespace {

/// The op of an operator; comparisons and logic included.
OpKind op_of(ast::BinaryOp op) {
  switch (op) {
    case ast::BinaryOp::Or: return OpKind::Or;
    case ast::BinaryOp::And: return OpKind::And;
    case ast::BinaryOp::Eq: return OpKind::Eq;
    case ast::BinaryOp::Ne: return OpKind::Ne;
    case ast::BinaryOp::Lt: return OpKind::Lt;
    case ast::BinaryOp::Le: return OpKind::Le;
    case ast::BinaryOp::Gt: return OpKind::Gt;
    case ast::BinaryOp::Ge: return OpKind::Ge;
    case ast::BinaryOp::Sub: return OpKind::Sub;
    case ast::BinaryOp::Mul: return OpKind::Mul;
    case ast::BinaryOp::Div: return OpKind::Div;
    case ast::BinaryOp::Pow: return OpKind::Pow;
    case ast::BinaryOp::Add:
    case ast::BinaryOp::Rem:
    case ast::BinaryOp::Range:
    case ast::BinaryOp::MatMul: return OpKind::Add;
  }
  return OpKind::Add;
}

/// Of whole numbers as whole numbers: a double skips some above 2^53.
template <typename T>
std::optional<Value> compare(ast::BinaryOp op, T a, T b) {
  switch (op) {
    case ast::BinaryOp::Eq: return Value(a == b);
    case ast::BinaryOp::Ne: return Value(a != b);
    case ast::BinaryOp::Lt: return Value(a < b);
    case ast::BinaryOp::Le: return Value(a <= b);
    case ast::BinaryOp::Gt: return Value(a > b);
    case ast::BinaryOp::Ge: return Value(a >= b);
    default: return std::nullopt;
  }
}

std::optional<Value> fold_integers(ast::BinaryOp op, int64_t a, int64_t b, bool& overflow) {
  int64_t out = 0;
  switch (op) {
    case ast::BinaryOp::Add: overflow = __builtin_add_overflow(a, b, &out); return Value(out);
    case ast::BinaryOp::Sub: overflow = __builtin_sub_overflow(a, b, &out); return Value(out);
    case ast::BinaryOp::Mul: overflow = __builtin_mul_overflow(a, b, &out); return Value(out);
    case ast::BinaryOp::Div:
      overflow = b == 0 || (a == std::numeric_limits<int64_t>::min() && b == -1);
      return overflow ? Value() : Value(a / b);
    case ast::BinaryOp::Rem: overflow = b == 0; return overflow ? Value() : Value(b == -1 ? int64_t{0} : a % b);
    case ast::BinaryOp::Pow: {
      if (b < 0) return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
      out = 1;
      for (int64_t i = 0; i < b && !overflow && i < 64; ++i) overflow = __builtin_mul_overflow(out, a, &out);
      if (b >= 64 && a != 0 && a != 1 && a != -1) overflow = true;
      if (b >= 64 && a == -1) out = b % 2 == 0 ? 1 : -1;
      return Value(out);
    }
    default: return compare(op, a, b);
  }
}

std::optional<Value> fold_numbers(ast::BinaryOp op, double a, double b) {
  switch (op) {
    case ast::BinaryOp::Add: return Value(a + b);
    case ast::BinaryOp::Sub: return Value(a - b);
    case ast::BinaryOp::Mul: return Value(a * b);
    case ast::BinaryOp::Div: return Value(a / b);
    case ast::BinaryOp::Pow: return Value(std::pow(a, b));
    default: return compare(op, a, b);
  }
}

}  // namespace

/// Both operands known while compiling: whole numbers stay whole, `/` of whole numbers rounds towards zero.
Value GraphWriter::fold(ast::BinaryOp op, const Value& a, const Value& b, Span span) {
  const auto *p = a.as<bool>(), *q = b.as<bool>();
  if (p != nullptr && q != nullptr) {
    if (op == ast::BinaryOp::Or) return Value(*p || *q);
    if (op == ast::BinaryOp::And) return Value(*p && *q);
    if (op == ast::BinaryOp::Eq) return Value(*p == *q);
    if (op == ast::BinaryOp::Ne) return Value(*p != *q);
  }
  const auto x = shapes_.number_of(a), y = shapes_.number_of(b);
  if (x && y) {
    const bool whole = a.as<double>() == nullptr && b.as<double>() == nullptr;
    bool overflow = false;
    if (whole) {
      const auto exact = [](const Value& v, double number) {
        return v.as<int64_t>() != nullptr ? *v.as<int64_t>() : static_cast<int64_t>(number);
      };
      const std::optional<Value> folded = fold_integers(op, exact(a, *x), exact(b, *y), overflow);
      if (folded && !overflow) return *folded;
      if (overflow) {
        const bool zero = *y == 0 && (op == ast::BinaryOp::Div || op == ast::BinaryOp::Rem);
        diagnostics_.report(Diag::E0203, span, zero ? "division by zero" : "the result does not fit 64 bits")
            .caret(fmt::format("{} {} {}", *x, to_string(op), *y));
        return {};
      }
    }
    if (const std::optional<Value> folded = fold_numbers(op, *x, *y)) return *folded;
  }
  diagnostics_.report(
      Diag::E0403, span,
      fmt::format("`{}` does not apply to {} and {}", to_string(op), shapes_.describe(a), shapes_.describe(b)));
  return {};
}

/// What is known of x + c, x - c, c - x, x * c and x / c.
static std::optional<Range> range_with_number(ast::BinaryOp op, const Value& a, const Value& b,
                                              std::optional<double> left, std::optional<double> right) {
  const auto* x = (left ? b : a).as<Tensor>();
  if (left.has_value() == right.has_value() || x == nullptr || !x->range) return std::nullopt;
  const double c = left ? *left : *right;
  const auto ends = [](double p, double q) {
    return std::isnan(p) || std::isnan(q) ? std::nullopt : std::optional(Range{std::min(p, q), std::max(p, q)});
  };
  const auto [low, high] = *x->range;
  switch (op) {
    case ast::BinaryOp::Add: return ends(low + c, high + c);
    case ast::BinaryOp::Sub: return left ? ends(c - high, c - low) : ends(low - c, high - c);
    case ast::BinaryOp::Mul: return ends(low * c, high * c);
    case ast::BinaryOp::Div: return left ? std::nullopt : ends(low / c, high / c);
    default: return std::nullopt;
  }
}

/// x % y of whole numbers by element has the sign of x, as a division rounds towards 0; x % 0 is x, as x / 0 is 0. That
/// of floats is refused: languages differ in its sign.
Value GraphWriter::remainder(const Value& a, const Value& b, Span span) {
  const auto whole = [&](const Value& v) {
    const auto* x = v.as<Tensor>();
    if (x != nullptr) return class_of(x->dtype) == DTypeClass::Int;
    const std::optional<double> number = shapes_.number_of(v);
    return number && *number == std::floor(*number);
  };
  if (whole(a) && whole(b)) {
    const Value multiple = binary(ast::BinaryOp::Mul, binary(ast::BinaryOp::Div, a, b, span), b, span);
    return binary(ast::BinaryOp::Sub, a, multiple, span);
  }
  diagnostics_
      .report(Diag::E0502, span,
              fmt::format("`%` is for whole numbers, not for {} and {}", shapes_.describe(a), shapes_.describe(b)))
      .with_help("the remainder of floats by element is `x - y * floor(x / y)`");
  return {};
}

Value GraphWriter::binary(ast::BinaryOp op, const Value& a, const Value& b, Span span) {
  if (a.bad() || b.bad()) return {};
  const auto compile_time = [&](const Value& v) {
    return v.as<Tensor>() == nullptr && (shapes_.number_of(v) || v.as<DimValue>() == nullptr) &&
           v.as<Selector>() == nullptr;
  };
  if (compile_time(a) && compile_time(b)) return fold(op, a, b, span);
  if (op == ast::BinaryOp::Rem) return remainder(a, b, span);
  if (op == ast::BinaryOp::Pow) {  // exact forms of the common powers
    const auto exponent = shapes_.number_of(b);
    if (exponent == 2.0) return elementwise(OpKind::Square, {a}, span, "`^`");
    if (exponent == 1.0) return a;
    if (exponent == 3.0) return binary(ast::BinaryOp::Mul, elementwise(OpKind::Square, {a}, span, "`^`"), a, span);
    if (exponent == 0.5) return elementwise(OpKind::Sqrt, {a}, span, "`^`");
  }
  Value result = elementwise(op_of(op), {a, b}, span, fmt::format("`{}`", to_string(op)));
  if (auto* t = result.as<Tensor>()) t->range = range_with_number(op, a, b, shapes_.number_of(a), shapes_.number_of(b));
  return result;
}

}  // namespace smelt::frontend
