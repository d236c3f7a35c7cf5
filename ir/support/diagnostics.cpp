#include "ir/support/diagnostics.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "ir/support/printable.h"

namespace smelt {

namespace {

constexpr DiagnosticInfo kInfos[] = {
#define DIAG(code, severity, title, explanation) {#code, Severity::severity, title, explanation},
#include "ir/support/diagnostics.def"
#undef DIAG
};

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (const size_t length = (c & 0x80) != 0 ? utf8_length(text, at) : 1; length != 1) {
      out += length == 0 ? "\\ufffd" : text.substr(at, length);  // what is no UTF-8 is no JSON either
      at += length == 0 ? 0 : length - 1;
      continue;
    }
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20)
          out += fmt::format("\\u{:04x}", static_cast<int>(c));
        else
          out += c;
    }
  }
  return out + "\"";
}

/// `"file":"a.smelt","line":1,"column":2,"length":3`, or nothing for an empty span.
std::string json_place(Span span, const SourceMap& sources) {
  if (span.empty()) return {};
  const LineColumn at = sources.locate(span.file, span.begin);
  return fmt::format(R"(,"file":{},"line":{},"column":{},"length":{})", json_string(sources.buffer(span.file).name),
                     at.line, at.column, span.end - span.begin);
}

std::string json_object(const Diagnostic& diagnostic, const SourceMap& sources) {
  std::string labels, notes;
  for (const Label& label : diagnostic.labels) {
    labels += fmt::format("{}{{\"text\":{}{}}}", labels.empty() ? "" : ",", json_string(label.text),
                          json_place(label.span, sources));
  }
  for (const std::string& note : diagnostic.notes) {
    notes += fmt::format("{}{}", notes.empty() ? "" : ",", json_string(note));
  }
  return fmt::format(
      R"({{"code":"{}","severity":"{}","message":{}{},"caret":{},"labels":[{}],"notes":[{}],"help":{}}})",
      info(diagnostic.code).code, diagnostic.severity() == Severity::Error ? "error" : "warning",
      json_string(diagnostic.message), json_place(diagnostic.span, sources), json_string(diagnostic.caret_text), labels,
      notes, json_string(diagnostic.help));
}

}  // namespace

const DiagnosticInfo& info(Diag code) { return kInfos[static_cast<size_t>(code)]; }

std::span<const DiagnosticInfo> all_diagnostics() { return kInfos; }

const DiagnosticInfo* find_diagnostic(std::string_view code) {
  const auto found = std::ranges::find(kInfos, code, &DiagnosticInfo::code);
  return found == std::end(kInfos) ? nullptr : &*found;
}

bool Diagnostics::seen(Diag code, Span span) const {
  return std::ranges::any_of(kept_,
                             [&](const Diagnostic& d) { return d.code == code && d.span == span && !span.empty(); });
}

Diagnostic& Diagnostics::report(Diag code, Span span, std::string message) {
  const bool in_callee = !call_.empty() && !span.empty() && span.file != call_.file;
  dropped_ = Diagnostic{.code = code, .span = in_callee ? call_ : span, .message = std::move(message)};
  if (in_callee) {
    dropped_.in_callee = true;
    dropped_.caret_text = "in this call";
    dropped_.label(span, {});
  }
  const bool is_error = info(code).severity == Severity::Error;
  if (is_error) ++reported_errors_;
  if (seen(code, dropped_.span)) return dropped_;
  size_t& number = is_error ? num_errors_ : num_warnings_;
  if (++number > most_) return dropped_;
  kept_.push_back(std::move(dropped_));
  return kept_.back();
}

void Diagnostics::drop_warnings() {
  std::erase_if(kept_, [](const Diagnostic& d) { return d.severity() == Severity::Warning; });
  num_warnings_ = 0;
}

std::vector<Diagnostic> Diagnostics::sorted() const {
  std::vector<Diagnostic> all(kept_.begin(), kept_.end());
  const auto place = [](const Diagnostic& d) {
    return std::tuple(!d.span.empty(), d.span.empty() ? 0 : d.span.file, d.span.begin, d.code);
  };
  std::ranges::sort(all, {}, place);
  return all;
}

std::string render_json(const Diagnostics& diagnostics, const SourceMap& sources) {
  std::string out;
  for (const Diagnostic& diagnostic : diagnostics.sorted()) {
    out += out.empty() ? "" : ",\n ";
    out += json_object(diagnostic, sources);
  }
  return "[" + out + "]";
}

}  // namespace smelt
