// Functions that the losses of the library check their operands with: axes, and labels along one.
#pragma once

#include "frontend/intrinsics.h"

namespace smelt::frontend {

/// (a, b), when they have the same axes or one is a number. What holds or not is 1 or 0, as in a mean.
Value same_axes(Call& call);
/// y, when its whole numbers are labels along the axis, as far as they come from outside.
Value labels_of(Call& call);
/// Whether x is a number or has no axes: for arguments that are one for all rows, or one of each.
Value is_number(Call& call);

}  // namespace smelt::frontend
