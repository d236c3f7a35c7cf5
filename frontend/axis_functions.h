// Functions of the language that reduce or normalise axes, or go along dims.
#pragma once

#include "frontend/intrinsics.h"

namespace smelt::frontend {

/// An op of the table over axes, which go or stay as they are: `logsumexp(x, over=X)`, `softmax(x, over=X)`.
Value apply_over_axes(Call& call);
/// An op of the table that gives positions along one axis, as labels of it: `argmax(x, over=X)`.
Value apply_of_axis(Call& call);

/// max(a, b) by element; max(x, over=..) and max(x) reduce.
Value maximum(Call& call);
Value minimum(Call& call);
Value sum(Call& call);
/// How many elements one result of a reduction covers, at run time where an extent is.
Value count(Call& call);
Value mean(Call& call);
/// Sum of products over the named axes.
Value contract(Call& call);

/// x repeated along axes that it lacks: all pairs, on purpose.
Value stretch(Call& call);
/// 0, 1, .. along a dim, as labels of it.
Value index(Call& call);
/// The bound of a dim.
Value capacity(Call& call);

}  // namespace smelt::frontend
