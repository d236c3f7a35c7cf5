// Elementary functions, written once on ScalarBuilder for F32 and F64: constant folding, JIT and
// ahead-of-time code run the same operations and so give the same bits on every target with fused
// multiply-add.
//
// Argument and result have one dtype, F32 or F64. Signed zeros, infinities, subnormals and NaN follow IEEE
// 754 / C Annex F. The bounds are maxima over the tests' arguments (tests/unit/ir/scalar_math_test.cpp), ulp
// of the result:
//
//              f32   f64    method
//   exp        1.0   1.0    x = n ln 2 + r, polynomial of r, two exact scalings so that subnormals round once
//   expm1      1.4   1.6    same reduction, 2^n (p + 1) - 1 in one fused step
//   log        0.8   0.7    x = 2^k (1 + f), odd series in f / (2 + f) after fdlibm
//   log1p      1.4   1.1    same, with the rounding error of 1 + x carried along
//   tanh       2.3   2.0    t / (t + 2), t = expm1(2 |x|); relative error below 2e-7 in f32
//   sigmoid    2.1   1.8    from e^-|x|, so that both tails are relatively accurate
//   softplus   1.6   1.4    max(x, 0) + log1p(e^-|x|)
//   sin, cos   1.8   2.1    x = n pi/2 + r in f64; |x| <= 1e15, NaN beyond
//   pow        2.7   4.2    e^(b log a) with log a in two words
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
Scalar sin(ScalarBuilder& s, Scalar x);
Scalar cos(ScalarBuilder& s, Scalar x);
/// cos(2 pi t) for |t| <= 1. The reduction is exact, so its absolute error is below one ulp of 1.
Scalar cos_turns(ScalarBuilder& s, Scalar t);
Scalar pow(ScalarBuilder& s, Scalar a, Scalar b);

}  // namespace smelt::scalar_math
