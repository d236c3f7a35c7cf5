#include <fmt/format.h>

#include "cli/commands.h"

namespace smelt::cli {

Runner add_dump(CLI::App& app) {
  struct Flags {
    ModelFlags model;
    std::string stage = "graph";
    std::vector<std::string> skip;
    std::string stop_after;
    bool no_optimize = false;
  };
  auto flags = std::make_shared<Flags>();
  add_model_flags(app, flags->model, 0);
  app.add_option("--stage", flags->stage, "ast, graph, grad, fused, loops, memory, llvm or asm");
  app.add_option("--skip", flags->skip, "leave out a pass (may be repeated)")->take_all()->allow_extra_args(false);
  app.add_option("--stop-after", flags->stop_after, "the last pass to run");
  app.add_flag("--no-optimize", flags->no_optimize, "no LLVM passes");
  return [flags] {
    Result<ModelOptions> options = model_options(flags->model);
    if (!options) return report(options.error());
    options->passes.skip = flags->skip;
    options->passes.stop_after = flags->stop_after;
    options->optimize = !flags->no_optimize;
    int code = kOk;
    const std::optional<CheckedModel> model = load_model(flags->model.file, *options, flags->model.json, code);
    if (!model) return code;
    const Result<std::string> text = dump(*model, flags->stage, *options);
    if (!text) return report(text.error());
    fmt::print("{}", *text);
    return static_cast<int>(kOk);
  };
}

}  // namespace smelt::cli
