// fmt: the canonical layout of model files.
#include <fmt/format.h>

#include <algorithm>

#include "cli/commands.h"
#include "cli/console.h"
#include "frontend/format/format_text.h"
#include "ir/support/printable.h"
#include "runtime/files/file.h"
#include "runtime/files/output_file.h"

namespace smelt::cli {
namespace {

struct FormatFlags {
  std::vector<std::string> files;
  bool check = false;
  std::vector<std::string> limits;
};

/// Formats one file. `changed` says whether its text is another one now, or would be.
int format_one(const std::string& path, bool check, const Limits& limits, bool& changed) {
  std::string text;
  const bool stream = path == "-";
  if (stream) {
    text = read_stdin();
  } else {
    const Result<Buffer> bytes = read_file(path, limits, &Limits::model_file);
    if (!bytes) return report(bytes.error());
    text.assign(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  }
  SourceMap sources;
  Diagnostics diagnostics(limits);
  const uint32_t file = sources.add({stream ? "<stdin>" : path, text});
  const std::optional<std::string> formatted = format_text(sources, file, diagnostics, limits);
  if (!formatted) {
    say_raw(render(diagnostics, sources, wants_colour() ? Colour::On : Colour::Off));
    return kModel;
  }
  changed = *formatted != text;
  if (stream && !check) fmt::print("{}", *formatted);
  if (stream || check || !changed) return kOk;
  const Result<void> written = write_output(path, *formatted);
  changed = written.has_value();
  return written ? static_cast<int>(kOk) : report(written.error());
}

int run_format(const FormatFlags& flags) {
  const Result<Limits> limits = limits_of(flags.limits);
  if (!limits) return report(limits.error());
  int code = kOk;
  size_t num_changed = 0;
  for (const std::string& path : flags.files) {
    bool changed = false;
    if (const int failed = format_one(path, flags.check, *limits, changed); failed != kOk)
      code = std::max(code, failed);
    if (!changed) continue;
    ++num_changed;
    if (path != "-") fmt::print("{}\n", printable_lines(path));
  }
  if (flags.check && num_changed > 0) {
    say("error: {} {} not formatted", num_changed, num_changed == 1 ? "file is" : "files are");
    say("  = help: `smelt fmt` without --check formats {}", num_changed == 1 ? "it" : "them");
    code = std::max<int>(code, kModel);
  }
  return code;
}

}  // namespace

Runner add_fmt(Options options) {
  auto flags = std::make_shared<FormatFlags>();
  options.add("FILE", flags->files, "model files; - formats the standard input to the standard output").required();
  options.flag("--check", flags->check,
               "change nothing: print the files that are not formatted; exit 1 when there are any");
  add_limits(options, flags->limits);
  return [flags] { return run_format(*flags); };
}

}  // namespace smelt::cli
