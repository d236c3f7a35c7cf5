// A checked model -> its program, from what earlier starts compiled where that is the same.
//
// Two things are kept in the cache of `options.cache_directory`. Machine code is found by the loops that it is made of:
// a change of the text that changes no kernel needs no new one. The description of a program is found by everything
// that it is made of, so that a second start runs no pass either.
#pragma once

#include "api/smelt/compile.h"

namespace smelt {

/// A cache that cannot be used costs time, never a result. Errors: as lower_experiment.
Result<CompiledProgram> cached_program(const CheckedModel& model, const Target& target, const ModelOptions& options,
                                       CompileClock* clock = nullptr);

}  // namespace smelt
