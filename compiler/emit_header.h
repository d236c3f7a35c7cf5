// The C header of a built model: everything a C99 program needs besides the object, and nothing of Smelt's.
#pragma once

#include <string>
#include <vector>

#include "compiler/generation.h"
#include "runtime/program.h"

namespace smelt {

/// Text of `<name>.h`. For a model N: N_ARENA_BYTES, N_init, N_order (the shuffle), one function an objective
/// N_<objective>, N_iteration (one pass of the loop), N_eval_<objective or metric>, N_<export>, N_params[] and
/// N_set_scalar; of exports that write a sequence N_<export>_reset and N_<export>_step. `file` is the model file's
/// name, for the first line.
std::string emit_header(const CompiledProgram& program, const std::vector<Generation>& generations,
                        const std::string& file);

}  // namespace smelt
