// Gives every temporary a place in the arena: values that are never alive together share bytes.
//
// Ensures: offsets are multiples of 64; two temporaries overlap only if one's last reader comes before the other's
//          first writer in the order of kernels, or if they are one kernel that reads and writes element by element
//          (in_place.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "compiler/loops/loop_ir.h"

namespace smelt {

/// First and last kernel that touch a buffer; first > last when none does.
struct Lifetime {
  int32_t first = INT32_MAX;
  int32_t last = -1;
};
std::vector<Lifetime> lifetimes(const LoopFunction& function);

/// Calls `visit` for each buffer that a kernel touches, once an access.
void for_each_buffer(const Kernel& kernel, const std::function<void(int32_t buffer)>& visit);

/// Places temporaries from byte `begin` of the arena on; returns the end of the last one.
int64_t plan_memory(LoopFunction& function, int64_t begin);

/// One line a buffer: name, type, bytes, offset, lifetime, and the operand that it is written over.
std::string print_memory(const LoopFunction& function);

}  // namespace smelt
