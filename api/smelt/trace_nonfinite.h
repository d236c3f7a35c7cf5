// Names the line that a NaN or an infinity came from.
#pragma once

#include "api/smelt/compile.h"
#include "ir/support/diagnostics.h"
#include "ir/support/result.h"
#include "runtime/failed_call.h"

namespace smelt {

/// Computes the failed call again in the reference evaluator, operation by operation, on the session's variables and
/// the call's rows. The diagnostic (E0801) gives operation, place, tensor, step, first bad index and the ranges of the
/// inputs; or says that the evaluator, which rounds in another order, came out finite. `model` and `options` are those
/// that the session's program was compiled from. Errors: RunTime when the call cannot be computed.
Result<Diagnostic> trace_nonfinite(const CheckedModel& model, const ModelOptions& options, const FailedCall& call);

}  // namespace smelt
