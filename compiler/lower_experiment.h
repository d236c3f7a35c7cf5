// Experiment -> loop program and the description of its object: everything before machine code.
//
// Assumes:  an Experiment of verified graphs.
// Ensures:  the program's functions carry planned memory; `program` lacks only object, cpu and hash.
#pragma once

#include <cstdint>
#include <vector>

#include "compiler/loops/loop_ir.h"
#include "compiler/options.h"
#include "compiler/unit.h"
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
/// places in `sources`. Throws CompileTooLong when `clock` says so.
Result<LoweredExperiment> lower_experiment(const Experiment& experiment, const Target& target,
                                           const CompileOptions& options, const SourceMap& sources,
                                           CompileClock* clock = nullptr);

/// What the passes need to know of an experiment and of the machine. It refers to the experiment.
PassContext context_of(const Experiment& experiment, const Target& target, const CompileOptions& options);

}  // namespace smelt
