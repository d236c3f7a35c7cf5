// Whether a product reads its right operand where it lies: what `pair_products` and `pack_operands` both ask.
#pragma once

#include "compiler/loops/loop_ir.h"

namespace smelt {

/// The micro-kernel reads columns side by side, or panels of them. Rows of b that lie far apart are packed as well when
/// enough rows of a pay for it: each step of the depth would touch another page, and lines of equal sets.
bool reads_in_place(const LoopFunction& function, const Product& product);

}  // namespace smelt
