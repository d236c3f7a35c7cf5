// Reading and writing rows whose numbers are data. An index out of range is a run-time error in every
// executor.
#pragma once

#include "ir/op.h"
#include "ir/ops/references.h"
#include "ir/ops/shape_rules.h"
#include "ir/ops/vjp_rules.h"

namespace smelt::ops {

inline constexpr OpDef kGather = {
    .name = "gather",
    .doc = "y[i.., r..] = table[index[i..], r..]",
    .kind = Kind::Gather,
    .operands = {"table", "index"},
    .infer = shape_rules::gather,
    .vjp = vjp_rules::gather,
    .tensor_reference = references::gather,
};

inline constexpr OpDef kScatterAdd = {
    .name = "scatter_add",
    .doc = "y[n, r..] = sum of updates[i.., r..] over all i.. with index[i..] == n",
    .kind = Kind::Scatter,
    .operands = {"index", "updates"},
    .attributes = {{"type", AttrType::Type, "type of the result"}},
    .traits = {.cheap = false},
    .infer = shape_rules::scatter_add,
    .vjp = vjp_rules::scatter_add,
    .tensor_reference = references::scatter_add,
};

inline constexpr OpDef kBatchGather = {
    .name = "batch_gather",
    .doc = "y[b.., i.., r..] = table[b.., index[b.., i..], r..]",
    .kind = Kind::Gather,
    .operands = {"table", "index"},
    .attributes = {{"batch", AttrType::Int, "axes b, at least one: those that table and index share"}},
    .infer = shape_rules::gather,
    .vjp = vjp_rules::gather,
    .tensor_reference = references::gather,
};

inline constexpr OpDef kBatchScatterAdd = {
    .name = "batch_scatter_add",
    .doc = "y[b.., n, r..] = sum of updates[b.., i.., r..] over all i.. with index[b.., i..] == n",
    .kind = Kind::Scatter,
    .operands = {"index", "updates"},
    .attributes = {{"batch", AttrType::Int, "axes b, at least one"}, {"type", AttrType::Type, "type of the result"}},
    .traits = {.cheap = false},
    .infer = shape_rules::scatter_add,
    .vjp = vjp_rules::scatter_add,
    .tensor_reference = references::scatter_add,
};

inline constexpr OpDef kPutRows = {
    .name = "put_rows",
    .doc = "y[n, r..] = rows[i.., r..] of the last i.. with index[i..] == n, to[n, r..] where there is none",
    .kind = Kind::Scatter,
    .operands = {"index", "rows", "to"},
    .traits = {.cheap = false, .overwrites = true},
    .infer = shape_rules::put_rows,
    .vjp = vjp_rules::put_rows,
    .tensor_reference = references::put_rows,
};

}  // namespace smelt::ops
