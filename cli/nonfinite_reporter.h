// Shows the line that a NaN or an infinity came from, when a call fails because of one.
#pragma once

#include <optional>

#include "api/smelt/compile.h"
#include "ir/support/diagnostics.h"
#include "runtime/failed_call.h"

namespace smelt::cli {

class NonFiniteReporter {
 public:
  /// Both must outlive this.
  NonFiniteReporter(const CheckedModel& model, const ModelOptions& options) : model_(model), options_(options) {}

  /// For TrainOptions::trace.
  TraceCall hook();
  bool traced() const { return diagnostic_.has_value(); }

  /// The line, when one was found, with `error` as its note; else `error` alone. Returns the exit code.
  int report(const Error& error, bool json);

 private:
  const CheckedModel& model_;
  const ModelOptions& options_;
  std::optional<Diagnostic> diagnostic_;
  std::optional<Error> failure_;  // why there is none
};

}  // namespace smelt::cli
