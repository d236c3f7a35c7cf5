// The rules of `simplify` about numbers. `0`, `1` and `c` stand for a number that is the same everywhere.
#include <cmath>

#include "compiler/graph/simplify.h"

namespace smelt {
namespace {

/// The operand that is not operand `i` of two.
NodeId other(Match& m, size_t i) { return m.in(1 - i); }

/// The other operand of a commutative op whose one operand is the number `value`.
NodeId other_than(Match& m, double value) {
  if (m.is_number(1, value)) return m.in(0);
  if (m.is_number(0, value)) return m.in(1);
  return kNoMatch;
}

bool is_float_node(Match& m) { return is_float(m.type().dtype); }

/// c is a power of two whose reciprocal is normal in every dtype of ours but f16.
bool has_exact_reciprocal(double c) {
  int exponent = 0;
  return std::fabs(std::frexp(c, &exponent)) == 0.5 && std::abs(exponent) < 100;
}

NodeId div_by_power_of_two(Match& m) {
  const std::optional<double> c = m.number(1);
  const bool wide = m.type().dtype == DType::F32 || m.type().dtype == DType::F64;
  if (!c || !wide || !has_exact_reciprocal(*c) || *c == 1.0) return kNoMatch;
  return m.build().mul(m.in(0), m.build().like(m.in(0), 1.0 / *c));
}

/// mul(mul(x, c), d) -> mul(x, c*d) for powers of two on one side of 1: neither order can round or overflow
/// alone.
NodeId merge_scales(Match& m) {
  if (!is_float_node(m) || m.type().dtype == DType::F16) return kNoMatch;
  for (size_t i = 0; i < 2; ++i) {
    const std::optional<double> d = m.number(i);
    const NodeId inner = other(m, i);
    const Node product = m.graph()[inner];
    if (!d || product.op != OpKind::Mul) continue;
    for (size_t k = 0; k < 2; ++k) {
      const std::optional<double> c = splat_value(m.graph(), product.inputs[k]);
      if (!c || !has_exact_reciprocal(*c) || !has_exact_reciprocal(*d) || !has_exact_reciprocal(*c * *d)) continue;
      if (std::fabs(*c) < 1 || std::fabs(*d) < 1) continue;
      return m.build().mul(product.inputs[1 - k], m.build().like(inner, *c * *d));
    }
  }
  return kNoMatch;
}

NodeId negation_in_sum(Match& m) {
  if (m.is(1, OpKind::Neg)) return m.build().sub(m.in(0), m.in(1, 0));
  if (m.is(0, OpKind::Neg)) return m.build().sub(m.in(1), m.in(0, 0));
  return kNoMatch;
}

NodeId two_negations(Match& m, OpKind op) {
  if (!m.is(0, OpKind::Neg) || !m.is(1, OpKind::Neg)) return kNoMatch;
  return m.build().make(op, {m.in(0, 0), m.in(1, 0)});
}

/// Values of dtype `from` are all values of dtype `to`.
bool widens(DType from, DType to) {
  if (from == to) return true;
  if (class_of(from) == DTypeClass::Bool) return true;
  if (class_of(from) == DTypeClass::Float) {
    if (class_of(to) != DTypeClass::Float) return false;
    return size_of(from) < size_of(to);  // f16 and bf16 have equal sizes and neither holds the other
  }
  // Integers: u8 needs one bit more when signed; a float holds integers up to its significand.
  const int64_t bits = size_of(from) * 8 - (from == DType::U8 ? 0 : 1);
  switch (to) {
    case DType::I8: return bits <= 7 && from != DType::U8;
    case DType::I16: return bits <= 15;
    case DType::I32: return bits <= 31;
    case DType::I64: return true;
    case DType::BF16: return bits <= 8;
    case DType::F16: return bits <= 11;
    case DType::F32: return bits <= 24;
    case DType::F64: return bits <= 53;
    case DType::Bool:
    case DType::U8: return false;
  }
  return false;
}

NodeId cast_of_cast(Match& m) {
  if (!m.is(0, OpKind::Cast)) return kNoMatch;
  const NodeId x = m.in(0, 0);
  const DType from = m.graph().type(x).dtype, between = m.operand(0).type.dtype, to = m.type().dtype;
  if (!widens(from, between)) return kNoMatch;
  // What is too large ends at the largest number when a float becomes whole, and wraps from one integer to another.
  const bool saturates = is_float(between) && !is_float(from) && class_of(to) == DTypeClass::Int;
  if (saturates && !widens(from, to)) return kNoMatch;
  return m.build().cast(x, m.type().dtype);
}

NodeId select_by_constant(Match& m) {
  const std::optional<double> condition = m.number(0);
  if (!condition) return kNoMatch;
  return *condition != 0 ? m.in(1) : m.in(2);
}

/// and(x, true) -> x, and(x, false) -> false, and(x, x) -> x; likewise `or` with `absorbing` true.
NodeId logical_identity(Match& m, double absorbing) {
  if (m.in(0) == m.in(1)) return m.in(0);
  if (const NodeId x = other_than(m, 1 - absorbing); x.valid()) return x;
  return other_than(m, absorbing).valid() ? m.build().constant(absorbing, m.type()) : kNoMatch;
}

constexpr Rule kArithmeticRules[] = {
    {"add_zero", "x + 0 -> x; the sign of a zero sum may change", OpKind::Add,
     [](Match& m) { return other_than(m, 0); }},
    {"sub_zero", "x - 0 -> x", OpKind::Sub, [](Match& m) { return m.is_number(1, 0) ? m.in(0) : kNoMatch; }},
    {"sub_from_zero", "0 - x -> neg(x); the sign of a zero result may change", OpKind::Sub,
     [](Match& m) { return m.is_number(0, 0) ? m.build().neg(m.in(1)) : kNoMatch; }},
    {"mul_one", "x * 1 -> x", OpKind::Mul, [](Match& m) { return other_than(m, 1); }},
    {"mul_minus_one", "x * -1 -> neg(x)", OpKind::Mul,
     [](Match& m) {
       const NodeId x = other_than(m, -1);
       return x.valid() ? m.build().neg(x) : kNoMatch;
     }},
    {"mul_zero", "x * 0 -> 0 for integers; a float x may be infinite or NaN", OpKind::Mul,
     [](Match& m) {
       return !is_float_node(m) && other_than(m, 0).valid() ? m.build().constant(0, m.type()) : kNoMatch;
     }},
    {"div_one", "x / 1 -> x", OpKind::Div, [](Match& m) { return m.is_number(1, 1) ? m.in(0) : kNoMatch; }},
    {"div_power_of_two", "x / c -> x * (1/c) for f32, f64 and c = 2^k: exact", OpKind::Div, div_by_power_of_two},
    {"merge_scales", "(x * c) * d -> x * (c d) for powers of two >= 1: exact", OpKind::Mul, merge_scales},
    {"neg_neg", "neg(neg(x)) -> x", OpKind::Neg, [](Match& m) { return m.is(0, OpKind::Neg) ? m.in(0, 0) : kNoMatch; }},
    {"add_neg", "a + neg(b) -> a - b", OpKind::Add, negation_in_sum},
    {"sub_neg", "a - neg(b) -> a + b", OpKind::Sub,
     [](Match& m) { return m.is(1, OpKind::Neg) ? m.build().add(m.in(0), m.in(1, 0)) : kNoMatch; }},
    {"mul_neg_neg", "neg(a) * neg(b) -> a * b", OpKind::Mul, [](Match& m) { return two_negations(m, OpKind::Mul); }},
    {"div_neg_neg", "neg(a) / neg(b) -> a / b for floats", OpKind::Div,
     [](Match& m) { return is_float_node(m) ? two_negations(m, OpKind::Div) : kNoMatch; }},
    {"pow_zero", "x^0 -> 1, for any x", OpKind::Pow,
     [](Match& m) { return m.is_number(1, 0) ? m.build().constant(1, m.type()) : kNoMatch; }},
    {"pow_one", "x^1 -> x", OpKind::Pow, [](Match& m) { return m.is_number(1, 1) ? m.in(0) : kNoMatch; }},
    {"pow_two", "x^2 -> x * x", OpKind::Pow,
     [](Match& m) { return m.is_number(1, 2) ? m.build().mul(m.in(0), m.in(0)) : kNoMatch; }},
    {"pow_three", "x^3 -> x * x * x, within one ulp", OpKind::Pow,
     [](Match& m) { return m.is_number(1, 3) ? m.build().mul(m.build().mul(m.in(0), m.in(0)), m.in(0)) : kNoMatch; }},
    {"pow_minus_one", "x^-1 -> 1 / x", OpKind::Pow,
     [](Match& m) { return m.is_number(1, -1) ? m.build().div(m.build().like(m.in(0), 1), m.in(0)) : kNoMatch; }},
    {"max_same", "max(x, x) -> x", OpKind::Max, [](Match& m) { return m.in(0) == m.in(1) ? m.in(0) : kNoMatch; }},
    {"min_same", "min(x, x) -> x", OpKind::Min, [](Match& m) { return m.in(0) == m.in(1) ? m.in(0) : kNoMatch; }},
    {"not_not", "not(not(x)) -> x", OpKind::Not, [](Match& m) { return m.is(0, OpKind::Not) ? m.in(0, 0) : kNoMatch; }},
    {"and_identity", "and(x, true) -> x, and(x, false) -> false, and(x, x) -> x", OpKind::And,
     [](Match& m) { return logical_identity(m, 0); }},
    {"or_identity", "or(x, false) -> x, or(x, true) -> true, or(x, x) -> x", OpKind::Or,
     [](Match& m) { return logical_identity(m, 1); }},
    {"select_constant", "select(true, a, b) -> a, select(false, a, b) -> b", OpKind::Select, select_by_constant},
    {"select_same", "select(c, a, a) -> a", OpKind::Select,
     [](Match& m) { return m.in(1) == m.in(2) ? m.in(1) : kNoMatch; }},
    {"select_not", "select(not(c), a, b) -> select(c, b, a)", OpKind::Select,
     [](Match& m) { return m.is(0, OpKind::Not) ? m.build().select(m.in(0, 0), m.in(2), m.in(1)) : kNoMatch; }},
    {"cast_same", "cast to the dtype that x has -> x", OpKind::Cast,
     [](Match& m) { return m.operand(0).type == m.type() ? m.in(0) : kNoMatch; }},
    {"cast_cast", "cast(cast(x)) -> cast(x) when the inner one loses nothing, and too large a number becomes the same",
     OpKind::Cast, cast_of_cast},
};

}  // namespace

std::span<const Rule> arithmetic_rules() { return kArithmeticRules; }

}  // namespace smelt
