// A call whose result was not finite, as whoever can name the line needs it (api/smelt/trace_nonfinite.h).
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <string_view>

#include "runtime/call_frame.h"
#include "runtime/data/dataset.h"
#include "runtime/session.h"

namespace smelt {

/// Lives during the call of a TraceCall only.
struct FailedCall {
  const Session& session;  // variables, counters and scalars as the call read them
  const CallFrame& frame;  // its inputs and sizes
  int32_t status = SMELT_CALL_NONFINITE;
  SplitSets data = {};  // that its rows count in; empty without data
  int64_t step = 0;     // the iteration, from 1; 0 outside training
};
/// `nan`, `inf` or `-inf`; a NaN's sign means nothing.
inline std::string_view nonfinite_text(double value) { return std::isnan(value) ? "nan" : value < 0 ? "-inf" : "inf"; }

using TraceCall = std::function<void(const FailedCall&)>;

}  // namespace smelt
