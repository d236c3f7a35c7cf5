// Experiment -> loop program and the description of its object: everything before machine code.
//
// Assumes:  an Experiment of verified graphs.
// Ensures:  the program's functions carry planned memory; `program` lacks only object, cpu and hash.
// `loops.vector_dtype`
//           is the caller's to set: the type whose lanes `tile` counts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/loops/build_loops.h"
#include "compiler/loops/loop_ir.h"
#include "compiler/options.h"
#include "ir/experiment.h"
#include "ir/support/result.h"
#include "ir/support/source.h"
#include "runtime/program.h"

namespace smelt {

/// What a memory budget did to one function. Bytes are those of the whole arena up to its last temporary.
struct FunctionMemory {
  int64_t bytes_without = 0, bytes = 0;
  double flops_without = 0, flops = 0;
  size_t num_again = 0;  // values that are computed again
};

struct LoweredExperiment {
  std::vector<Graph> optimized;        // one a function, as lowered
  std::vector<FusionPlan> fusion;      // one a function
  std::vector<FunctionMemory> memory;  // one a function
  LoopProgram loops;
  CompiledProgram program;
};

/// Errors (Limit): a function that cannot be brought within the memory budget; its largest tensors are named by their
/// places in `sources`.
Result<LoweredExperiment> lower_experiment(const Experiment& experiment, const VectorRegisters& registers,
                                           const CompileOptions& options, const SourceMap& sources);

}  // namespace smelt
