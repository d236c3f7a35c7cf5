// show, explain, ops: what the binary knows about itself.
#include <fmt/format.h>

#include "cli/commands.h"
#include "compiler/plan/explain_fusion.h"
#include "frontend/examples_of_codes.h"
#include "frontend/library.h"
#include "frontend/library_reference.h"
#include "ir/op.h"
#include "ir/support/diagnostics.h"
#include "ir/support/suggest.h"

namespace smelt::cli {
namespace {

/// A line for each module, with the names in it.
void list_modules(const std::vector<LibraryEntry>& entries) {
  std::string module, names;
  const auto print_module = [&] {
    if (!module.empty()) fmt::print("{:13} {}\n", module, names);
  };
  for (const LibraryEntry& entry : entries) {
    if (entry.module != module) {
      print_module();
      module = entry.module;
      names.clear();
    }
    names += (names.empty() ? "" : " ") + entry.name;
  }
  print_module();
}

void list_entries(const std::vector<LibraryEntry>& entries) {
  for (const LibraryEntry& entry : entries) {
    fmt::print("{}: {}\n", entry.module, entry.signature);
    if (!entry.doc.empty()) fmt::print("    {}\n", entry.doc);
  }
}

int show(const std::string& name, bool markdown) {
  if (markdown && !name.empty()) return report_usage("--markdown writes the whole list", "leave the name out");
  if (markdown) {
    fmt::print("{}", library_markdown());
    return kOk;
  }
  if (name.empty()) {
    list_modules(library_entries());
    return kOk;
  }
  if (name == "std") {
    std::vector<LibraryEntry> entries = library_entries();
    std::erase_if(entries, [](const LibraryEntry& entry) { return !entry.module.starts_with("std."); });
    list_entries(entries);
    return kOk;
  }
  if (const std::optional<std::string> text = show_library(name)) {
    fmt::print("{}", *text);
    return kOk;
  }
  const std::vector<LibraryEntry> found = find_entries(name);
  if (found.size() == 1) {
    const std::optional<std::string> text = show_library(fmt::format("{}.{}", found[0].module, found[0].name));
    if (text) {
      fmt::print("{}", *text);
      return kOk;
    }
  }
  list_entries(found);
  if (!found.empty()) return kOk;
  std::vector<std::string> names;
  for (const LibraryEntry& entry : library_entries()) names.push_back(entry.name);
  const std::vector<std::string_view> views(names.begin(), names.end());
  return report_usage(fmt::format("nothing is called `{0}` or speaks of it", printable(name, 80)),
                      did_you_mean(name, views));
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

std::string indented(std::string_view text) {
  std::string out = text.empty() ? "" : "  ";
  for (size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] == '\n' && i + 1 < text.size() && text[i + 1] != '\n') out += "  ";
  }
  return out;
}

int explain(const std::string& code) {
  if (const DiagnosticInfo* diagnostic = find_diagnostic(code)) {
    fmt::print("{}: {}\n\n{}\n", diagnostic->code, diagnostic->title, diagnostic->explanation);
    const std::optional<CodeExample> example = example_of(diagnostic->code);
    if (!example) return kOk;
    fmt::print("\nWrong:\n\n{}\n{}", indented(example->wrong), indented(example->messages));
    std::string right = changed_lines(example->wrong, example->right);
    if (right.empty()) right = example->right;  // lines that go, or stand elsewhere
    if (!right.empty()) fmt::print("Right:\n\n{}", indented(right));
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
  struct ShowFlags {
    std::string name;
    bool markdown = false;
  };
  auto flags = std::make_shared<ShowFlags>();
  options.add(
      "NAME", flags->name,
      "Dense prints an entry, std.nn a module, std the signatures of all; another word is searched; none lists names");
  options.flag("--markdown", flags->markdown, "print docs/library.md");
  return [flags] { return show(flags->name, flags->markdown); };
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
