// The inputs of an export as generated code reads them, for who runs it in other ways than Session::run.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ir/support/result.h"
#include "runtime/buffer.h"
#include "runtime/session.h"

namespace smelt {

struct RunInputs {
  std::vector<int64_t> sizes;   // of run-time dims, by symbol
  std::vector<Buffer> tensors;  // by input of the entry, laid out by bounds
  bool fits = false;            // no dim is above its bound; without it there are no tensors
};

/// Errors: as Session::run.
Result<RunInputs> prepare_inputs(Session& session, const Entry& entry, std::span<const NamedTensor> inputs,
                                 const RunOptions& options);

}  // namespace smelt
