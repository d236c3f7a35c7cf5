#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "api/smelt/dump.h"
#include "cli/commands.h"
#include "compiler/codegen/make_target.h"
#include "compiler/emit_header.h"
#include "compiler/functions_alone.h"
#include "compiler/generation.h"
#include "ir/support/printable.h"
#include "ir/support/suggest.h"
#include "runtime/files/file.h"
#include "runtime/files/output_file.h"

namespace smelt::cli {
namespace {

struct BuildFlags {
  ModelFlags model;
  std::string output;
  std::vector<std::string> only;
  std::vector<std::string> emit = {"obj", "header"};
};

struct Built {
  const CheckedModel& model;
  const ModelOptions& options;
  std::vector<Generation> generations;
  CompiledProgram program;
};

struct Artefact {
  std::string_view name, suffix;
  Result<std::string> (*make)(const Built&);
};

constexpr std::array kArtefacts = {
    Artefact{"obj", ".o",
             [](const Built& built) -> Result<std::string> {
               return std::string(built.program.object.begin(), built.program.object.end());
             }},
    Artefact{"header", ".h",
             [](const Built& built) -> Result<std::string> {
               return emit_header(built.program, built.generations, built.model.path);
             }},
    Artefact{"llvm-ir", ".ll", [](const Built& built) { return dump(built.model, "llvm", built.options); }},
    Artefact{"asm", ".s", [](const Built& built) { return dump(built.model, "asm", built.options); }},
};

/// Leaves the exports, and the steps of generation, of these names. Errors: Usage.
Result<void> keep_only(const std::vector<std::string>& names, Experiment& experiment,
                       std::vector<Generation>& generations) {
  std::vector<int32_t> kept;
  std::vector<Generation> left;
  for (const std::string& name : names) {
    const Function* function = experiment.find(FunctionKind::Export, name);
    if (function == nullptr) {
      std::vector<std::string_view> known;
      for (const Function& one : experiment.functions)
        if (one.kind == FunctionKind::Export) known.push_back(one.name);
      return fail(ErrorKind::Usage, fmt::format("--only: there is no export `{}`", printable(name)),
                  suggest(name, known));
    }
    const auto index = static_cast<int32_t>(function - experiment.functions.data());
    const auto step = std::ranges::find_if(generations, [&](const Generation& generation) {
      return generation.step >= 0 && (generation.step == index || generation.reset == index);
    });
    if (std::ranges::find(kept, index) != kept.end()) continue;
    if (step == generations.end()) {
      kept.push_back(index);
      continue;
    }
    // One is of no use without the other.
    left.push_back(*step);
    left.back().reset = static_cast<int32_t>(kept.size());
    left.back().step = left.back().reset + 1;
    kept.insert(kept.end(), {step->reset, step->step});
  }
  experiment = functions_alone(experiment, kept);
  generations = std::move(left);
  return {};
}

/// The program, with functions of a host that writes sequences itself.
Result<Built> build(CheckedModel& model, const ModelOptions& options, const std::vector<std::string>& only) {
  SMELT_TRY(const Target target, make_target(options.cpu));
  Built built{model, options, {}, {}};
  built.generations = add_generation(*model.experiment, context_of(*model.experiment, target, options.passes));
  if (!only.empty()) SMELT_TRY_VOID(keep_only(only, *model.experiment, built.generations));
  SMELT_TRY(built.program, compile_program(model, options));
  return built;
}

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
  std::optional<OpenedModel> model = open_model(flags.model, code, {.tells_of_missing_data = true});
  if (!model) return code;
  const Result<Built> built = build(model->checked, model->options, flags.only);
  if (!built) return report(built.error());
  if (const auto made = make_directories(flags.output); !made) return report(made.error());
  for (const Artefact* artefact : wanted) {
    const Result<std::string> text = artefact->make(*built);
    if (!text) return report(text.error());
    const std::string path = flags.output + "/" + built->program.name + std::string(artefact->suffix);
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
  options.add("--only", flags->only, "these exports alone, such as write_step: nothing of training, a smaller arena")
      .separated_by(',');
  options.add("--emit", flags->emit, "any of obj, header, llvm-ir, asm").separated_by(',');
  return [flags] { return run_build(*flags); };
}

}  // namespace smelt::cli
