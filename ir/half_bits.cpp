#include "ir/half_bits.h"

#include "ir/support/check.h"

namespace smelt {
namespace {

Scalar whole(ScalarBuilder& s, int64_t value) { return s.integer(DType::I32, value); }

/// Adds half of the unit that `shift` bits take away, a little less on a tie whose kept bit is 0, and takes them away.
Scalar round_off(ScalarBuilder& s, Scalar bits, int shift) {
  const Scalar kept = s.bit_and(s.shift_right_logical(bits, shift), whole(s, 1));
  return s.shift_right_logical(s.add(s.add(bits, whole(s, (1 << (shift - 1)) - 1)), kept), shift);
}

Scalar narrow_to_bf16(ScalarBuilder& s, Scalar x) {
  const Scalar bits = s.bit_cast(DType::I32, x);
  const Scalar sign = s.bit_and(s.shift_right_logical(bits, 16), whole(s, 0x8000));
  const Scalar rounded = round_off(s, bits, 16);
  return s.select(s.compare(Compare::Ne, x, x), s.add(sign, whole(s, 0x7FC0)), rounded);
}

Scalar narrow_to_f16(ScalarBuilder& s, Scalar x) {
  constexpr int64_t kInfinity = 0x7C00, kNaN = 0x7E00, kBias = (127 - 15) << 10, kOneHalf = 0x3F000000;
  const Scalar magnitude = s.abs(x);
  const Scalar rounded = s.sub(round_off(s, s.bit_cast(DType::I32, magnitude), 13), whole(s, kBias));
  const Scalar normal = s.min(rounded, whole(s, kInfinity));
  // Below 2^-14 halves are multiples of 2^-24, which is the last place of 1/2.
  const Scalar shifted = s.add(magnitude, s.constant(DType::F32, 0.5));
  const Scalar subnormal = s.sub(s.bit_cast(DType::I32, shifted), whole(s, kOneHalf));
  const Scalar is_small = s.compare(Compare::Lt, magnitude, s.constant(DType::F32, 0x1p-14));
  const Scalar number = s.select(is_small, subnormal, normal);
  const Scalar sign = s.bit_and(s.shift_right_logical(s.bit_cast(DType::I32, x), 16), whole(s, 0x8000));
  return s.add(sign, s.select(s.compare(Compare::Ne, x, x), whole(s, kNaN), number));
}

Scalar widen_f16(ScalarBuilder& s, Scalar bits) {
  constexpr int64_t kInfinity = 0x7C00, kMoreBias = int64_t{255 - 31} << 23;
  const Scalar magnitude = s.bit_and(bits, whole(s, 0x7FFF));
  const Scalar shifted = s.shift_left(magnitude, 13);
  const Scalar finite = s.mul(s.bit_cast(DType::F32, shifted), s.constant(DType::F32, 0x1p112));
  const Scalar is_finite = s.compare(Compare::Lt, magnitude, whole(s, kInfinity));
  const Scalar number = s.select(is_finite, s.bit_cast(DType::I32, finite), s.add(shifted, whole(s, kMoreBias)));
  return s.bit_cast(DType::F32, s.add(number, s.shift_left(s.bit_and(bits, whole(s, 0x8000)), 16)));
}

}  // namespace

Scalar widen_half(ScalarBuilder& s, DType half, Scalar bits) {
  SMELT_CHECK(is_half(half), "{} is no half", to_string(half));
  return half == DType::F16 ? widen_f16(s, bits) : s.bit_cast(DType::F32, s.shift_left(bits, 16));
}

Scalar narrow_to_half(ScalarBuilder& s, DType half, Scalar x) {
  SMELT_CHECK(is_half(half), "{} is no half", to_string(half));
  return half == DType::F16 ? narrow_to_f16(s, x) : narrow_to_bf16(s, x);
}

Scalar round_to_odd_f32(ScalarBuilder& s, Scalar x) {
  const Scalar nearest = s.cast(DType::F32, x), back = s.cast(DType::F64, nearest);
  Scalar bits = s.bit_cast(DType::I32, nearest);
  const Scalar is_beyond = s.compare(Compare::Gt, s.abs(back), s.abs(x));
  bits = s.select(is_beyond, s.sub(bits, whole(s, 1)), bits);
  const Scalar odd = s.add(s.sub(bits, s.bit_and(bits, whole(s, 1))), whole(s, 1));
  const Scalar is_exact = s.logical_or(s.compare(Compare::Eq, back, x), s.compare(Compare::Ne, x, x));
  return s.bit_cast(DType::F32, s.select(is_exact, bits, odd));
}

}  // namespace smelt
