#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "api/smelt/dump.h"
#include "cli/commands.h"
#include "compiler/emit_header.h"
#include "ir/support/printable.h"
#include "ir/support/suggest.h"
#include "runtime/files/file.h"
#include "runtime/files/output_file.h"

namespace smelt::cli {
namespace {

struct BuildFlags {
  ModelFlags model;
  std::string output;
  std::vector<std::string> emit = {"obj", "header"};
};

struct Artefact {
  std::string_view name, suffix;
  Result<std::string> (*make)(const CheckedModel&, const CompiledProgram&, const ModelOptions&);
};

constexpr std::array kArtefacts = {
    Artefact{"obj", ".o",
             [](const CheckedModel&, const CompiledProgram& program, const ModelOptions&) -> Result<std::string> {
               return std::string(program.object.begin(), program.object.end());
             }},
    Artefact{"header", ".h",
             [](const CheckedModel& model, const CompiledProgram& program, const ModelOptions&) -> Result<std::string> {
               if (program.data && program.data->num_sections() > 1)
                 return fail(ErrorKind::Unsupported,
                             "a header for a train section that reads several data sections is not supported yet",
                             "use --emit=obj, or choose a train section that reads one: --train NAME",
                             program.train.span);
               return emit_header(program, model.path);
             }},
    Artefact{"llvm-ir", ".ll",
             [](const CheckedModel& model, const CompiledProgram&, const ModelOptions& options) {
               return dump(model, "llvm", options);
             }},
    Artefact{"asm", ".s",
             [](const CheckedModel& model, const CompiledProgram&, const ModelOptions& options) {
               return dump(model, "asm", options);
             }},
};

int run_build(const BuildFlags& flags) {
  std::vector<const Artefact*> wanted;
  for (const std::string& name : flags.emit) {
    const auto at = std::ranges::find(kArtefacts, name, &Artefact::name);
    if (name == "lib")
      return report({ErrorKind::Unsupported, "--emit=lib is not supported yet", "use --emit=obj and `ar rcs`", {}});
    if (at == kArtefacts.end()) {
      std::vector<std::string_view> names;
      for (const Artefact& artefact : kArtefacts) names.push_back(artefact.name);
      return report_usage(fmt::format("cannot emit `{}`", name), suggest(name, names));
    }
    wanted.push_back(&*at);
  }
  int code = kOk;
  const std::optional<OpenedModel> model = open_model(flags.model, code, {.tells_of_missing_data = true});
  if (!model) return code;
  const Result<CompiledProgram> program = compile_program(model->checked, model->options);
  if (!program) return report(program.error());
  if (const auto made = make_directories(flags.output); !made) return report(made.error());
  for (const Artefact* artefact : wanted) {
    const Result<std::string> text = artefact->make(model->checked, *program, model->options);
    if (!text) return report(text.error());
    const std::string path = flags.output + "/" + program->name + std::string(artefact->suffix);
    if (const auto written = write_output(path, *text); !written) return report(written.error());
    fmt::print("{}\n", printable_lines(path));
  }
  return kOk;
}

}  // namespace

Runner add_build(Options options) {
  auto flags = std::make_shared<BuildFlags>();
  add_model_flags(options, flags->model, 0);
  options.add("-o,--output", flags->output, "directory for the files").required();
  options.add("--emit", flags->emit, "any of obj, header, llvm-ir, asm").separated_by(',');
  return [flags] { return run_build(*flags); };
}

}  // namespace smelt::cli
