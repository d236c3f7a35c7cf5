// The generator of random words as a function of generated code.
#pragma once

#include <llvm/IR/Module.h>

#include "compiler/codegen/shared_functions.h"

namespace smelt {

/// {words, words} philox(lanes element, i64 seed, i32 run, i64 loop << 32 | site): of each lane's block of
/// Philox4x32-10 (ir/philox.h) with counter (element / 4, loop, run, site) the words 0 and 1, or 2 and 3 when element %
/// 4 >= 2. `lanes`: i32 or a vector of i32. Called, not inlined: it is as long as all the rest of a kernel that draws.
llvm::Function* philox_function(llvm::Module& module, SharedFunctions& shared, llvm::Type* lanes);

/// The same for 4 * num_lanes elements in a row, the first a multiple of 4: void philox_window(ptr words, i32 first,
/// ..) writes their first words and then their second ones. Four elements share a block, and a vector has num_lanes
/// blocks.
llvm::Function* philox_window_function(llvm::Module& module, SharedFunctions& shared, unsigned num_lanes);
inline constexpr int64_t kPhiloxWindow = 4;  // vectors of elements

}  // namespace smelt
