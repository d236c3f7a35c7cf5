// Whether a product reads its right operand where it lies: what `pair_products` and `pack_operands` both ask.
#pragma once

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

/// The micro-kernel reads columns side by side, or panels of them. Rows of b that lie far apart are packed as well when
/// enough rows of a pay for it, unless they are copied by stretches: each step of the depth would touch another page,
/// and lines of equal sets. `times`: how often the product runs for a pack of b.
bool reads_in_place(const LoopFunction& function, const Product& product, const Blocking& blocking, int64_t times);

/// Where the pack of a product's right operand runs, when kernel `kernel` is that product: what a repetition does not
/// change is packed once, before it.
struct PackPlace {
  size_t at = 0;        // before this kernel
  int32_t repeat = -1;  // in this repetition
  int64_t times = 1;    // that the product usually runs for it
  bool once = false;    // for all steps of a loop
};
PackPlace pack_place(const LoopFunction& function, const Product& product, size_t kernel);

}  // namespace smelt
