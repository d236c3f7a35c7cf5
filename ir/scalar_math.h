// Elementary functions, written once on ScalarBuilder for F32 and F64: constant folding, JIT and
// ahead-of-time code run the same operations and so give the same bits on every target with fused
// multiply-add.
//
// Argument and result have one dtype, F32 or F64. Signed zeros, infinities, subnormals and NaN follow IEEE
// 754 / C Annex F. Bounds and how they are measured: docs/numerics.md.
//
//   exp        x = n ln 2 + r in two words, polynomial of r, two exact scalings so that subnormals round once
//   expm1      same reduction; 2^n (1 + r + r^2 / 2) - 1 is summed in two words
//   log        x = 2^k (1 + f), odd series in f / (2 + f) after fdlibm
//   log1p      same, with the rounding error of 1 + x carried along
//   tanh       below 0.55 an odd polynomial, else 1 - 2 / (e^2x + 1); neither branch ever falls
//   sigmoid    from e^-|x|, so that both tails are relatively accurate
//   softplus   max(x, 0) + log1p(e^-|x|)
//   erf        below 0.9 an odd polynomial, else 1 less two tails of the normal distribution
//   normal_cdf the tail, e^(-x^2 / 2) times a polynomial in (|x| - 3.5) / (|x| + 3.5) after Shepherd, Laframboise 1981
//   sin, cos   x = n pi/2 + r in f64, r in two words; |x| <= 1e15, NaN beyond
//   pow        e^(b log |a|): in f64 for f32, with log |a| in two words for f64
#pragma once

#include "ir/scalar_builder.h"

namespace smelt::scalar_math {

Scalar exp(ScalarBuilder& s, Scalar x);
Scalar expm1(ScalarBuilder& s, Scalar x);
Scalar log(ScalarBuilder& s, Scalar x);
Scalar log1p(ScalarBuilder& s, Scalar x);
Scalar tanh(ScalarBuilder& s, Scalar x);
Scalar sigmoid(ScalarBuilder& s, Scalar x);
Scalar softplus(ScalarBuilder& s, Scalar x);
/// 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.
Scalar erf(ScalarBuilder& s, Scalar x);
/// The normal distribution below x, (1 + erf(x / sqrt 2)) / 2 without its cancellation on the left.
Scalar normal_cdf(ScalarBuilder& s, Scalar x);
Scalar sin(ScalarBuilder& s, Scalar x);
Scalar cos(ScalarBuilder& s, Scalar x);
/// cos(2 pi t) for |t| <= 1. The reduction is exact, so its absolute error is below one ulp of 1.
Scalar cos_turns(ScalarBuilder& s, Scalar t);
Scalar pow(ScalarBuilder& s, Scalar a, Scalar b);

}  // namespace smelt::scalar_math
