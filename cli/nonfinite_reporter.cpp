#include "cli/nonfinite_reporter.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "api/smelt/trace_nonfinite.h"
#include "cli/common.h"

namespace smelt::cli {

TraceCall NonFiniteReporter::hook() {
  return [this](const FailedCall& call) {
    if (diagnostic_) return;  // the first one is the cause
    Result<Diagnostic> traced = trace_nonfinite(model_, options_, call);
    if (traced) {
      diagnostic_ = std::move(*traced);
    } else {
      failure_ = traced.error();
    }
  };
}

int NonFiniteReporter::report(const Error& error, bool json) {
  if (failure_) fmt::print(stderr, "note: the line cannot be named: {}\n", failure_->message);
  if (!diagnostic_ || error.kind != ErrorKind::NonFinite) return cli::report(error);
  Diagnostic shown = *diagnostic_;
  shown.note(error.message);
  if (!error.help.empty()) shown.note(error.help);
  Diagnostics diagnostics;
  diagnostics.report(shown.code, shown.span, shown.message) = shown;
  if (json) {
    fmt::print("{}\n", render_json(diagnostics, *model_.sources));
  } else {
    const bool colour = isatty(STDERR_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
    fmt::print(stderr, "{}", render(shown, *model_.sources, colour ? Colour::On : Colour::Off));
  }
  return exit_code(error.kind);
}

}  // namespace smelt::cli
