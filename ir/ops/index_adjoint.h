// Adjoints of index formulas: what an operand was read for, collected at its own positions.
#pragma once

#include "ir/builder.h"
#include "ir/index_formula.h"

namespace smelt {

/// The cotangent of operand `which` of y[i..] = sum of x[..] * other[..], from the cotangent `ct` of y:
///
///   dx[p..] = sum of ct[i..] * other[..] over all indices with which x was read at p..
///
/// It is again a contraction with affine reads, so it can be differentiated again. An axis p = c + s*i + d*u is solved
/// for its longest index i; what remains is summed:
///
///   s = 1   i = p - c - d*u, read as `?[..]`: outside it has no part in x[p].
///   s > 1   u is split into s*t + r where s does not divide d. Then p = c + s*q + d*r with q = i + d*t: one dense
///           formula of stride 1 for each remainder r, without products by zeros, whose results are laid side by side.
///
/// Where the indices of an axis are those of other axes already, as on a diagonal, the sum is over a factor that is 1
/// where the positions are equal and 0 elsewhere.
///
/// `other` is not valid when the formula has one operand. The result has the type of operand `which`.
NodeId index_adjoint(Builder& build, const IndexFormula& formula, size_t which, const TensorType& x, NodeId ct,
                     NodeId other);

}  // namespace smelt
