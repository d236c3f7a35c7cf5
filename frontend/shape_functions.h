// Functions of the language that change axes and keep elements, and constants of a shape.
#pragma once

#include "frontend/intrinsics.h"

namespace smelt::frontend {

/// The same elements in row-major order, with other axes.
Value reshape(Call& call);
/// All axes but the first become one.
Value flatten(Call& call);
/// Without axes of one element.
Value squeeze(Call& call);
/// x cut along one axis into single elements: a tuple.
Value split(Call& call);
Value zeros(Call& call);
Value ones(Call& call);
Value zeros_like(Call& call);
Value ones_like(Call& call);
Value in_front(Call& call);
Value front_as(Call& call);
Value digits(Call& call);
Value sorts_by_network(Call& call);
/// Whole numbers as labels of a dim.
Value as_labels(Call& call);

}  // namespace smelt::frontend
