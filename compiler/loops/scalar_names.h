// Names of scalar bodies. Loops hold bodies, no op names; texts and keys need names that mean the same everywhere.
#pragma once

#include <string_view>

#include "compiler/loops/loop_ir.h"
#include "ir/op.h"

namespace smelt {

/// The name of a body in statements or, of a reduction, in folds: that of the op whose record has it.
std::string_view name_of(ScalarBody body);
/// The op that has a body by that name; null: there is none.
const OpDef* op_with_body(std::string_view name);

}  // namespace smelt
