// Runs a graph through the whole back end: fusion, loops, memory plan, LLVM, loaded object.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ir/evaluator.h"
#include "ir/graph.h"
#include "ir/support/result.h"

namespace smelt::test {

struct RunOptions {
  std::string cpu = "native";
  int threads = 1;
  bool optimize = true;  // LLVM passes
};

/// Arguments of every role are passed as inputs, results of every role come back as outputs; buffers lie between guard
/// pages, and touching one or writing beside a buffer is an InternalError.
Result<std::vector<RefTensor>> run_compiled(Graph graph, std::span<const RefTensor> arguments,
                                            std::span<const int64_t> extents, const RunOptions& options = {});

}  // namespace smelt::test
