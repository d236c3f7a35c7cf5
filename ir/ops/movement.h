// Movement: y[i] = x[access(i)], or 0 outside (another number for `read`). Nothing is computed; code generation folds
// the access into the reader.
#pragma once

#include "ir/op.h"
#include "ir/ops/references.h"
#include "ir/ops/shape_rules.h"
#include "ir/ops/vjp_rules.h"

namespace smelt::ops {

using Access = std::optional<IndexMap>;

inline Access broadcast_access(const TensorType& operand, const TensorType&, const Attributes& attrs) {
  IndexMap map;
  for (size_t i = 0; i < operand.rank(); ++i)
    map.axes.push_back(Affine::of(static_cast<int32_t>(attrs.integers("axes")[i])));
  return map;
}

inline Access transpose_access(const TensorType& operand, const TensorType&, const Attributes& attrs) {
  IndexMap map;
  map.axes.resize(operand.rank());
  for (size_t i = 0; i < operand.rank(); ++i)
    map.axes[static_cast<size_t>(attrs.integers("permutation")[i])] = Affine::of(static_cast<int32_t>(i));
  return map;
}

/// `sign` * shifts[i] is added to index i.
inline IndexMap shifted_map(const TensorType& operand, const std::vector<int64_t>& shifts, int64_t sign) {
  IndexMap map;
  for (size_t i = 0; i < operand.rank(); ++i)
    map.axes.push_back(Affine::of(static_cast<int32_t>(i)) + sign * shifts[i]);
  return map;
}

inline Access slice_access(const TensorType& operand, const TensorType&, const Attributes& attrs) {
  return shifted_map(operand, attrs.integers("starts"), 1);
}

inline Access pad_access(const TensorType& operand, const TensorType&, const Attributes& attrs) {
  IndexMap map = shifted_map(operand, attrs.integers("low"), -1);
  map.bounded = true;
  return map;
}

inline constexpr OpDef kRead = {
    .name = "read",
    .doc = "y[i..] = x[map(i..)], or `outside` where x has no such element; windows of x, every other element, ...",
    .kind = Kind::Move,
    .operands = {"x"},
    .attributes = {{"formula", AttrType::Formula, "`?[n,2*i+u-1] -> [n,i<7,u<3]`, see index_formula.h"},
                   {"outside", AttrType::Float, "0, or the identity of the reduction that reads the windows"}},
    .infer = shape_rules::read,
    .vjp = vjp_rules::read,
    .tensor_reference = references::read,
    .access = [](const TensorType&, const TensorType&, const Attributes& attrs) -> Access {
      return attrs.formula("formula").operands[0];
    },
};

inline constexpr OpDef kBroadcast = {
    .name = "broadcast",
    .doc = "repeats x along new axes; result axis axes[i] reads operand axis i",
    .kind = Kind::Move,
    .operands = {"x"},
    .attributes = {{"axes", AttrType::Ints, "for each operand axis its place in the result"},
                   {"type", AttrType::Type, "type of the result"}},
    .infer = shape_rules::broadcast,
    .vjp = vjp_rules::broadcast,
    .tensor_reference = references::broadcast,
    .access = broadcast_access,
};

inline constexpr OpDef kTranspose = {
    .name = "transpose",
    .doc = "permutes axes; result axis i is operand axis permutation[i]",
    .kind = Kind::Move,
    .operands = {"x"},
    .attributes = {{"permutation", AttrType::Ints, "for each result axis its operand axis"}},
    .infer = shape_rules::transpose,
    .vjp = vjp_rules::transpose,
    .tensor_reference = references::transpose,
    .access = transpose_access,
};

inline constexpr OpDef kReshape = {
    .name = "reshape",
    .doc = "the same elements in row-major order under another shape; run-time extents keep their place",
    .kind = Kind::Move,
    .operands = {"x"},
    .attributes = {{"type", AttrType::Type, "type of the result"}},
    .infer = shape_rules::reshape,
    .vjp = vjp_rules::reshape,
    .tensor_reference = references::reshape,
    .access = [](const TensorType&, const TensorType&, const Attributes&) -> Access { return std::nullopt; },
};

inline constexpr OpDef kSlice = {
    .name = "slice",
    .doc = "the part from starts[k] up to, not including, limits[k] of each axis k; a run-time axis only whole",
    .kind = Kind::Move,
    .operands = {"x"},
    .attributes = {{"starts", AttrType::Ints, "first index of each axis"},
                   {"limits", AttrType::Ints, "index after the last of each axis"}},
    .infer = shape_rules::slice,
    .vjp = vjp_rules::slice,
    .tensor_reference = references::slice,
    .access = slice_access,
};

inline constexpr OpDef kPad = {
    .name = "pad",
    .doc = "zeros (false) before and after each axis; none on a run-time axis",
    .kind = Kind::Move,
    .operands = {"x"},
    .attributes = {{"low", AttrType::Ints, "zeros before each axis"},
                   {"high", AttrType::Ints, "zeros after each axis"}},
    .infer = shape_rules::pad,
    .vjp = vjp_rules::pad,
    .tensor_reference = references::pad,
    .access = pad_access,
};

}  // namespace smelt::ops
