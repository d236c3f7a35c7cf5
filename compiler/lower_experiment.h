// Experiment -> loop program and the description of its object: everything before machine code.
//
// Assumes:  an Experiment of verified graphs.
// Ensures:  the program's functions carry planned memory; `program` lacks only object, cpu and hash. `loops.vector_dtype`
//           is the caller's to set: the type whose lanes `tile` counts.
#pragma once

#include <string>
#include <vector>

#include "compiler/loops/build_loops.h"
#include "compiler/loops/loop_ir.h"
#include "compiler/options.h"
#include "ir/experiment.h"
#include "ir/support/result.h"
#include "runtime/program.h"

namespace smelt {

struct LoweredExperiment {
  std::vector<Graph> optimized;     // one a function, as lowered
  std::vector<FusionPlan> fusion;   // one a function
  LoopProgram loops;
  CompiledProgram program;
};

Result<LoweredExperiment> lower_experiment(const Experiment& experiment, const VectorRegisters& registers, const CompileOptions& options);

}  // namespace smelt
