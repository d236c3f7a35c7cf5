// Index formulas: which element of an operand each point of an iteration space reads. The one form in which the
// compiler says so: movements, contractions and windows (strided, dilated, reversed) are made of it, and loops read
// memory by the same affine functions.
//
//   [i,k] [k,j] -> [i,j]                           a matrix product
//   ?[n,2*i+u-1,c] [u,c,o] -> [n,i<7,o]            a convolution with stride 2 and a margin of one zero
//   ?[n,i+u-1] -> [n,i,u<3]                        windows of three, one beside each element
//
// Indices are numbers: 0 .. rank - 1 are the result's axes, the others are summed. The text names them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ir/affine.h"
#include "ir/support/result.h"
#include "ir/type.h"

namespace smelt {

/// Where an operand is read: for each of its axes a function of the indices.
struct IndexMap {
  std::vector<Affine> axes;
  bool bounded = false;  // `?[..]`: positions outside the operand are allowed, and read 0

  /// The first axis that is `index` as it is, or -1.
  int plain_axis_of(int32_t index) const;
  bool has(int32_t index) const;
  /// Every axis is an index as it is, another one each, and nothing lies outside.
  bool is_plain() const;
  friend bool operator==(const IndexMap&, const IndexMap&) = default;
};

/// The map that reads through both: what `inner` reads of its operand at the point that `outer` reads of inner's
/// result.
IndexMap compose(const IndexMap& inner, const IndexMap& outer);

/// result[0 .. rank) = sum over the other indices of the product of the operands, each at its map.
struct IndexFormula {
  int32_t rank = 0;
  std::vector<IndexMap> operands;
  /// By index. `unstated()`: that of the axis which is the index as it is, else the largest with which plain accesses
  /// stay inside.
  Shape extents;

  int32_t num_indices() const { return static_cast<int32_t>(extents.size()); }
  bool is_summed(int32_t index) const { return index >= rank; }
  bool is_plain() const;  // all maps are
  friend bool operator==(const IndexFormula&, const IndexFormula&) = default;
};
inline constexpr int64_t kUnstatedBound = -1;
inline Extent unstated() { return Extent(kUnstatedBound); }

/// Extents of all indices for operands of these shapes. Errors (Model): ranks that differ; an index whose extent
/// nothing says, or two axes say differently; a plain access that leaves its operand; a window over a run-time axis; an
/// index in no operand, or summed and not in every operand.
Result<Shape> extents_of(const IndexFormula& formula, std::span<const Shape> shapes);

/// Whether all maps are plain and every axis is read from end to end. An index that runs over a part of an axis is
/// plain as well, `[i,k<2]` of an axis of 3; who puts axes in the place of indices needs whole ones.
bool reads_whole_axes(const IndexFormula& formula, std::span<const Shape> shapes);

/// Summed indices numbered in the order in which the operands have them: equal formulas become equal values.
IndexFormula canonical(const IndexFormula& formula);

/// Extents as sizes: bounds.
std::vector<int64_t> bounds_of(std::span<const Extent> extents);

/// The text of a formula: indices are `i j l m n o p q` in the result and `k r s t u v w x` when summed.
std::string to_string(const IndexFormula& formula, const std::vector<DimSymbol>& symbols = {});

}  // namespace smelt
