// Gradients of a compiled objective against five-point differences of its loss, and products with its Hessian against
// differences of its gradients.
//
// Assumes:  a program compiled for f64 whose experiment went through `with_gradients`; the frame of that function bound
// to
//           data and, for the second order, a session at the point where to look. Noise is fixed by the session's
//           counters.
// Ensures:  the session's variables are what they were.
// Numerics  A derivative d is compared as |computed - difference| / max(1, |difference|). The step starts at 2e-3 and
// is
//           divided by 8 up to three times unless the comparison holds with room to spare: a kink of the loss within a
//           step spoils the difference, and a wrong gradient fails at every step. The difference errs by about 1e-13
//           |loss| / step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/support/result.h"
#include "runtime/call_frame.h"
#include "runtime/session.h"

namespace smelt {

/// One parameter that was changed and what became of the derivatives along the changes.
struct GradcheckRow {
  int32_t variable = -1;  // index into CompiledProgram::variables
  int64_t entries = 0;
  int64_t directions = 0;  // random ones; 0: each entry on its own
  double worst = 0;        // the error that is largest
  std::string
      where;  // `[3, 4]` or `direction 2`; of the second order with the entry of the gradient, `D.out.b[0] by ..`
  double computed = 0, difference = 0;
  int64_t finer = 0;  // comparisons that needed a smaller step
};

struct GradcheckOptions {
  int order = 1;               // 1 or 2
  int64_t full_up_to = 64;     // parameters of so many entries are changed entry by entry
  int64_t num_directions = 8;  // others along so many random unit vectors
  double tolerance = 1e-7;
};

struct GradcheckResult {
  double loss = 0;
  std::vector<GradcheckRow> rows;  // one a parameter that the objective updates
};

/// Errors: NonFinite when the loss is not a number; RunTime from the call.
Result<GradcheckResult> gradcheck(Session& session, CallFrame& frame, const GradcheckOptions& options);

}  // namespace smelt
