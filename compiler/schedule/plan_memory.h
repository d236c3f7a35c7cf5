// Gives every temporary a place in the arena: values that are never alive together share bytes.
//
// Assumes:  what may be written in place is known (write_in_place.h).
// Ensures:  offsets are multiples of 64, from `temporaries.begin` on; `temporaries.end` is behind the last one. Two
//           temporaries overlap only if one's last reader comes before the other's first writer in the order of
//           kernels, or if they are one kernel that reads and writes element by element.
#pragma once

#include <string>

#include "compiler/loops/loop_ir.h"
#include "compiler/schedule/target.h"

namespace smelt {

LoopFunction plan_memory(LoopFunction function, const Target& target);

/// One line a buffer: name, type, bytes, offset, lifetime, and the operand that it is written over.
std::string print_memory(const LoopFunction& function);

}  // namespace smelt
