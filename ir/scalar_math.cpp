#include "ir/scalar_math.h"

#include "ir/scalar_parts.h"

namespace smelt::scalar_math {

Scalar exp(ScalarBuilder& s, Scalar x) { return Math(s, x.dtype).exp(x); }

Scalar expm1(ScalarBuilder& s, Scalar x) {
  Math m(s, x.dtype);
  const Format& format = m.format;
  const Math::ExpParts e = m.exp_parts(m.at_most(m.at_least(x, format.expm1_low), format.exp_high));
  // Half of the result, since 2^n itself may overflow where the result does not: s = 2^n / 2 times 1 + r + r^2 / 2 +
  // .., less 1/2, of which all but the rest is summed in two words.
  const Scalar scale = m.power_of_two(s.sub(e.n, m.integer(1)));
  const Scalar start = m.plus(scale, -0.5), start_low = m.plus(s.sub(scale, start), -0.5);
  const Math::TwoWords linear = m.fast_two_sum(start, s.mul(e.r, scale));
  const Math::TwoWords square = m.product(e.r, e.r);
  const Math::TwoWords sum = m.fast_two_sum(linear.high, s.mul(m.times(square.high, 0.5), scale));
  const Scalar cubic = s.fma(s.mul(square.high, e.r), m.polynomial(e.r, format.exp_terms.subspan(1)),
                             s.fma(square.low, m.number(0.5), e.lacks));
  const Scalar y = m.times(s.add(sum.high, s.fma(cubic, scale, s.add(s.add(linear.low, start_low), sum.low))), 2);
  return s.select(m.less(s.abs(x), format.tiny), x, y);
}

Scalar log(ScalarBuilder& s, Scalar x) {
  Math m(s, x.dtype);
  const Math::LogParts parts = m.log_parts_of_any(x);
  return m.log_edges(x, m.log_sum(parts.k, parts.f));
}

Scalar log1p(ScalarBuilder& s, Scalar x) {
  Math m(s, x.dtype);
  // 1 + x = u + error exactly; log(u + error) with the error added to the fraction of u.
  const Scalar u = m.plus(x, 1);
  const Scalar u_minus_1 = m.plus(u, -1);
  const Scalar error = s.add(s.sub(m.number(1), s.sub(u, u_minus_1)), s.sub(x, u_minus_1));
  const Math::LogParts parts = m.log_parts(u);
  // Far above 1 the error does not matter, and 2^-k has to stay a normal number.
  const Scalar limit = m.integer(m.format.bias - 1);
  const Scalar k = s.select(s.compare(Compare::Gt, parts.exponent, limit), limit, parts.exponent);
  const Scalar scale = m.power_of_two(s.sub(m.integer(0), k));
  const Scalar lacks = s.mul(error, scale);
  const Scalar y = m.log_edges(u, m.log_sum(parts.k, parts.f, &lacks));
  return s.select(m.less(s.abs(x), m.format.tiny), x, y);
}

// Each branch never falls: in the first the last sum rounds what rises by more than its error, in the second every step
// is a correctly rounded function of a value that never falls.
Scalar tanh(ScalarBuilder& s, Scalar x) {
  Math m(s, x.dtype);
  const Scalar a = m.at_most(s.abs(x), m.format.tanh_high);
  const Scalar z = s.mul(a, a);
  const Scalar small = s.fma(s.mul(a, z), m.polynomial(z, m.format.tanh_terms), a);
  const Scalar large = s.sub(m.number(1), s.div(m.number(2), m.plus(m.exp_in_range(m.times(a, 2)), 1)));
  return m.with_sign_of(s.select(m.less(a, 0.55), small, large), x);
}

Scalar sigmoid(ScalarBuilder& s, Scalar x) {
  Math m(s, x.dtype);
  // The quotient of 1 or z = e^-|x| and 1 + z, corrected by what remains times an approximate 1 / (1 + z).
  const Scalar z = m.exp(s.neg(s.abs(x)));
  const Scalar falls = m.less(x, 0), one = m.number(1);
  const Math::TwoWords divisor = m.fast_two_sum(one, z);
  const Scalar dividend = s.select(falls, z, one);
  const Scalar y = s.div(dividend, divisor.high);
  const Scalar rest = s.fma(s.neg(y), divisor.low, s.fma_exact(s.neg(y), divisor.high, dividend));
  return s.fma(rest, s.select(falls, s.sub(one, y), y), y);
}

Scalar softplus(ScalarBuilder& s, Scalar x) {
  Math m(s, x.dtype);
  const Scalar tail = log1p(s, m.exp(s.neg(s.abs(x))));
  return s.add(m.at_least(x, 0), tail);
}

Scalar erf(ScalarBuilder& s, Scalar x) {
  Math m(s, x.dtype);
  constexpr double kSqrt2 = 0x1.6a09e667f3bcdp+0;
  const Scalar a = s.abs(x), z = s.mul(a, a);
  const Scalar small = s.fma(a, m.polynomial(z, m.format.erf_terms), a);
  const Scalar large = s.sub(m.number(1), m.times(m.normal_tail(m.times(a, kSqrt2)), 2));
  return m.with_sign_of(s.select(m.less(a, 0.9), small, large), x);
}

Scalar normal_cdf(ScalarBuilder& s, Scalar x) {
  Math m(s, x.dtype);
  const Scalar tail = m.normal_tail(s.abs(x));
  return s.select(m.less(x, 0), tail, s.sub(m.number(1), tail));
}

Scalar sin(ScalarBuilder& s, Scalar x) {
  Math m(s, x.dtype);
  return s.select(m.less(s.abs(x), m.format.tiny), x, m.sin_shifted(x, 0));
}

Scalar cos(ScalarBuilder& s, Scalar x) { return Math(s, x.dtype).sin_shifted(x, 1); }

Scalar cos_turns(ScalarBuilder& s, Scalar t) {
  constexpr double kTwoPi = 0x1.921fb54442d18p+2;
  Math m(s, t.dtype);
  const Scalar quarter_turns = s.round_even(m.times(t, 4));
  const Scalar rest = s.fma(quarter_turns, m.number(-0.25), t);
  return m.sin_in_quadrant(m.times(rest, kTwoPi), m.plus(quarter_turns, 1));
}

Scalar pow(ScalarBuilder& s, Scalar a, Scalar b) {
  Math m(s, a.dtype);
  const Scalar magnitude = s.abs(a);
  const Scalar is_zero = m.equal(magnitude, 0), is_infinite = m.equal(magnitude, kInfinity);
  const Scalar regular = m.regular_power(magnitude, b);

  const Scalar zero = m.number(0), one = m.number(1);
  const Scalar grows = m.less(zero, b);
  const Scalar at_zero = s.select(grows, zero, m.number(kInfinity));
  const Scalar at_infinity = s.select(grows, m.number(kInfinity), zero);
  const Scalar positive = s.select(is_zero, at_zero, s.select(is_infinite, at_infinity, regular));

  // A negative base (-0 included) needs a whole exponent, an odd one keeps its sign.
  const Scalar is_whole = s.compare(Compare::Eq, s.floor(b), b);
  const Scalar half = m.times(b, 0.5);
  const Scalar is_odd = s.logical_and(is_whole, s.compare(Compare::Ne, s.floor(half), half));
  const Scalar has_sign = s.compare(Compare::Lt, m.bits(a), m.integer(0));
  const Scalar signed_value = s.select(s.logical_and(has_sign, is_odd), s.neg(positive), positive);
  const Scalar is_defined = s.logical_or(is_whole, s.logical_or(s.logical_not(m.less(a, 0)), is_infinite));
  const Scalar value = s.select(is_defined, signed_value, m.number(kNaN));

  const Scalar is_nan = s.logical_or(s.compare(Compare::Ne, a, a), s.compare(Compare::Ne, b, b));
  const Scalar b_is_infinite = m.equal(s.abs(b), kInfinity);
  const Scalar is_one =
      s.logical_or(s.logical_or(m.equal(a, 1), m.equal(b, 0)), s.logical_and(m.equal(a, -1), b_is_infinite));
  return s.select(is_one, one, s.select(is_nan, m.number(kNaN), value));
}

}  // namespace smelt::scalar_math
