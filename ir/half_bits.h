// f16 and bf16 as bits, in integer arithmetic on ScalarBuilder: no target needs an instruction for them, and none calls
// a library. Subnormal numbers are kept.
#pragma once

#include "ir/scalar_builder.h"

namespace smelt {

inline bool is_half(DType dtype) { return dtype == DType::F16 || dtype == DType::BF16; }

/// The F32 with the value of a half, exactly. `bits` is an I32 below 2^16.
Scalar widen_half(ScalarBuilder& s, DType half, Scalar bits);

/// The nearest half of an F32 as an I32 below 2^16, ties to even; NaN gives a quiet NaN of its sign.
Scalar narrow_to_half(ScalarBuilder& s, DType half, Scalar x);

/// The F32 from which `narrow_to_half` gives the half that is nearest to an F64: truncated, its last bit 1 unless
/// exact. Boldo, Melquiond 2008, Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to
/// odd.
Scalar round_to_odd_f32(ScalarBuilder& s, Scalar x);

}  // namespace smelt
