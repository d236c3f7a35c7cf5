// The part of a header for a host that writes a sequence itself, a position a call.
#pragma once

#include <set>
#include <string>

#include "compiler/generation.h"
#include "runtime/program.h"

namespace smelt {

/// N_<export>_reset and N_<export>_step with their structs, or a comment that says why there are none. `used`: the
/// names of the header so far.
std::string emit_generation(const CompiledProgram& program, const Generation& generation, std::set<std::string>& used);

}  // namespace smelt
