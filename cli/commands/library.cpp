// show, explain, ops: what the binary knows about itself.
#include <fmt/format.h>

#include "cli/commands.h"
#include "compiler/plan/explain_fusion.h"
#include "frontend/library.h"
#include "ir/op.h"
#include "ir/support/diagnostics.h"
#include "ir/support/suggest.h"

namespace smelt::cli {
namespace {

int show(const std::string& name) {
  if (const std::optional<std::string> text = show_library(name)) {
    fmt::print("{}", *text);
    return kOk;
  }
  const std::vector<std::string> names = library_names();
  const std::vector<std::string_view> views(names.begin(), names.end());
  return report_usage(fmt::format("the standard library has no `{}`", name), suggest(name, views));
}

/// What each value of each function was fused with, or why not.
int explain_file(const ModelFlags& flags) {
  int code = kOk;
  const std::optional<OpenedModel> model = open_model(flags, code);
  if (!model) return code;
  const Result<LoweredExperiment> lowered = lower(model->checked, model->options);
  if (!lowered) return report(lowered.error());
  for (size_t f = 0; f < lowered->optimized.size(); ++f) {
    fmt::print("{}\n", explain_fusion(lowered->optimized[f], lowered->fusion[f], *model->checked.sources));
  }
  return kOk;
}

int explain(const std::string& code) {
  if (const DiagnosticInfo* diagnostic = find_diagnostic(code)) {
    fmt::print("{}: {}\n\n{}\n", diagnostic->code, diagnostic->title, diagnostic->explanation);
    return kOk;
  }
  return report_usage(fmt::format("unknown diagnostic `{}`", code),
                      "codes look like E0107; for a model give its file, such as vae.smelt");
}

void list_ops() {
  for (const OpDef& op : all_ops()) {
    std::string operands, attributes;
    for (const std::string_view operand : op.operands)
      operands += fmt::format("{}{}", operands.empty() ? "" : ", ", operand);
    for (const AttrDef& attribute : op.attributes)
      attributes += fmt::format("{}{}", attributes.empty() ? "" : ", ", attribute.name);
    fmt::print("{}({}){}\n    {}\n", op.name, operands, attributes.empty() ? "" : " {" + attributes + "}", op.doc);
    if (!op.source.empty()) fmt::print("    source: {}\n", op.source);
  }
}

}  // namespace

Runner add_show(Options options) {
  auto name = std::make_shared<std::string>();
  options.add("NAME", *name, "such as std.nn.Dense, or std.nn for all of it").required();
  return [name] { return show(*name); };
}

Runner add_explain(Options options) {
  auto flags = std::make_shared<ModelFlags>();
  add_model_flags(
      options, *flags, 0,
      {"CODE|FILE", "a diagnostic's code, such as E0107, or a model file: what was fused with what, and why not"});
  return [flags, options] {
    if (flags->file.ends_with(".smelt")) return explain_file(*flags);
    if (const std::optional<std::string> given = options.given_option()) {
      return report_usage(
          fmt::format("{} is for a model file, and `{}` is a diagnostic's code", *given, printable(flags->file, 40)),
          "leave it out");
    }
    return explain(flags->file);
  };
}

Runner add_ops(Options) {
  return [] {
    list_ops();
    return static_cast<int>(kOk);
  };
}

}  // namespace smelt::cli
