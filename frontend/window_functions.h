// Functions that the picture layers of the library are written with: sizes of windows, and values put side by side.
#pragma once

#include "frontend/intrinsics.h"

namespace smelt::frontend {

/// (k, k) of a number, or the two numbers of a pair.
Value pair(Call& call);
/// Zeros before and after one axis, of `pad`: a number, one for each axis, two for each axis, or `same`.
Value margins(Call& call);
/// a, b, .. one after the other along an axis.
Value concat(Call& call);
/// a, b, .. side by side along a new axis.
Value stack(Call& call);
/// x with the elements of an axis in reverse order.
Value flip(Call& call);

}  // namespace smelt::frontend
