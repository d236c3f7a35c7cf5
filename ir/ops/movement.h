// Movement: y[i] = x[access(i)], or 0 outside. Nothing is computed; code generation folds the access into the
// reader.
#pragma once

#include "ir/op.h"
#include "ir/ops/references.h"
#include "ir/ops/shape_rules.h"
#include "ir/ops/vjp_rules.h"

namespace smelt::ops {

inline MoveAccess broadcast_access(const TensorType& operand, const TensorType&, const Attributes& attrs) {
  MoveAccess access;
  for (size_t i = 0; i < operand.rank(); ++i) access.axes.push_back({static_cast<int>(attrs.integers("axes")[i])});
  return access;
}

inline MoveAccess transpose_access(const TensorType& operand, const TensorType&, const Attributes& attrs) {
  MoveAccess access;
  access.axes.resize(operand.rank());
  for (size_t i = 0; i < operand.rank(); ++i) access.axes[attrs.integers("permutation")[i]].axis = static_cast<int>(i);
  return access;
}

/// `sign` * attribute `name` is added to each index.
inline MoveAccess shifted_access(const TensorType& operand, const std::vector<int64_t>& shifts, int64_t sign) {
  MoveAccess access;
  for (size_t i = 0; i < operand.rank(); ++i) access.axes.push_back({static_cast<int>(i), 1, sign * shifts[i]});
  return access;
}

inline MoveAccess slice_access(const TensorType& operand, const TensorType&, const Attributes& attrs) {
  return shifted_access(operand, attrs.integers("starts"), 1);
}

inline MoveAccess pad_access(const TensorType& operand, const TensorType&, const Attributes& attrs) {
  MoveAccess access = shifted_access(operand, attrs.integers("low"), -1);
  access.bounded = true;
  return access;
}

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
    .access = [](const TensorType&, const TensorType&, const Attributes&) { return MoveAccess{{}, true, false}; },
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
