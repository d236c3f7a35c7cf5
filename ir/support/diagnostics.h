// What is wrong with a user's program: collected, sorted, and shown with the lines it is about.
//
// A stage reports into a Diagnostics sink and carries on, so that one run shows all independent mistakes (at
// most `Limits::errors`). Codes, titles and the long text of `smelt explain` are in diagnostics.def.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/support/limits.h"
#include "ir/support/printable.h"
#include "ir/support/result.h"
#include "ir/support/source.h"

namespace smelt {

enum class Severity : uint8_t { Error, Warning };

enum class Diag : uint16_t {
#define DIAG(code, severity, title, explanation) code,
#include "ir/support/diagnostics.def"
#undef DIAG
};

/// The fixed part of a diagnostic: one line of diagnostics.def.
struct DiagnosticInfo {
  std::string_view code;  // "E0107"
  Severity severity = Severity::Error;
  std::string_view title;        // a few words, lower case
  std::string_view explanation;  // shown by `smelt explain`
};

const DiagnosticInfo& info(Diag code);
std::span<const DiagnosticInfo> all_diagnostics();
const DiagnosticInfo* find_diagnostic(std::string_view code);

/// A second place that matters and what it has to do with the error.
struct Label {
  Span span;
  std::string text;
};

struct Diagnostic {
  Diag code{};
  Span span;
  std::string message;     // one line, lower case, no full stop
  std::string caret_text;  // beside the caret
  std::vector<Label> labels;
  std::vector<std::string> notes;
  std::string help;
  bool in_callee = false;  // found inside a function that `span` calls; the first label is the place

  Severity severity() const { return info(code).severity; }

  Diagnostic& caret(std::string text) {
    (in_callee ? labels.front().text : caret_text) = std::move(text);
    return *this;
  }
  Diagnostic& label(Span where, std::string text) {
    labels.push_back({where, std::move(text)});
    return *this;
  }
  Diagnostic& note(std::string text) {
    notes.push_back(std::move(text));
    return *this;
  }
  Diagnostic& with_help(std::string text) {
    help = std::move(text);
    return *this;
  }
};

/// Collects diagnostics. A second one with the same code and place is dropped: one cause, one error.
class Diagnostics {
 public:
  Diagnostics() = default;
  explicit Diagnostics(const Limits& limits) : most_(limits.errors) {}

  /// The reference is for adding labels and notes at once; it is good until the next report.
  Diagnostic& report(Diag code, Span span, std::string message);

  /// While a call is set, a report about another file is shown at the call, with its own place as a label: a mistake
  /// that shows inside the library was made where the library is called. Returns the call that was set before.
  Span set_call(Span call) { return std::exchange(call_, call); }

  void drop_warnings();

  bool has_errors() const { return num_errors_ > 0; }
  size_t num_errors() const { return num_errors_; }  // those past the limit included
  /// Those that were told before included: whether it grows says whether something went wrong in between.
  size_t reported_errors() const { return reported_errors_; }
  size_t num_warnings() const { return num_warnings_; }
  size_t most() const { return most_; }  // errors that are kept, and as many warnings
  bool is_full() const { return num_errors_ >= most_; }
  bool empty() const { return kept_.empty(); }
  /// By file and place; errors without a place come first.
  std::vector<Diagnostic> sorted() const;

 private:
  bool seen(Diag code, Span span) const;

  std::deque<Diagnostic> kept_;
  Diagnostic dropped_;  // where labels of a report that is not kept go
  size_t most_ = Limits().errors;
  size_t num_errors_ = 0, num_warnings_ = 0, reported_errors_ = 0;
  Span call_;
};

enum class Colour : uint8_t { Off, On };

/// The look of docs/language.md: message, place, source lines, `^^^^` and `----`, notes, help.
std::string render(const Diagnostic& diagnostic, const SourceMap& sources, Colour colour = Colour::Off);
/// All of them, and how many errors were left out.
std::string render(const Diagnostics& diagnostics, const SourceMap& sources, Colour colour = Colour::Off);
/// A JSON array of objects with code, severity, message, file, line, column, labels, notes, help.
std::string render_json(const Diagnostics& diagnostics, const SourceMap& sources);

}  // namespace smelt
