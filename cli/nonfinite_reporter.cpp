#include "cli/nonfinite_reporter.h"

#include <fmt/format.h>

#include "api/smelt/trace_nonfinite.h"
#include "cli/common.h"
#include "cli/console.h"

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
  if (failure_) say("note: the line cannot be named: {}", failure_->message);
  if (!diagnostic_ || error.kind != ErrorKind::NonFinite) return cli::report(error);
  Diagnostic shown = *diagnostic_;
  shown.note(error.message);
  if (!error.help.empty()) shown.note(error.help);
  Diagnostics diagnostics;
  diagnostics.report(shown.code, shown.span, shown.message) = shown;
  if (json) {
    fmt::print("{}\n", render_json(diagnostics, *model_.sources));
  } else {
    say_raw(render(shown, *model_.sources, wants_colour() ? Colour::On : Colour::Off));
  }
  return exit_code(error.kind);
}

}  // namespace smelt::cli
