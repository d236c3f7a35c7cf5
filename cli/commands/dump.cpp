#include <fmt/format.h>

#include "api/smelt/dump.h"
#include "cli/commands.h"

namespace smelt::cli {

Runner add_dump(Options options) {
  struct DumpFlags {
    ModelFlags model;
    std::string stage, stop_after;
    std::vector<std::string> dump_after;
  };
  auto flags = std::make_shared<DumpFlags>();
  add_model_flags(options, flags->model, 0);
  options.add("--stage", flags->stage, "ast, graph (default), grad, fused, loops, memory, llvm or asm");
  options.add("--stop-after", flags->stop_after, "the last pass to run; `smelt debug passes` lists them");
  options.add("--dump-after", flags->dump_after, "print functions after this pass as well, or after `all`");
  return [flags] {
    int code = kOk;
    std::optional<OpenedModel> model = open_model(flags->model, code);
    if (!model) return code;
    model->options.passes.stop_after = flags->stop_after;
    model->options.passes.dump_after = flags->dump_after;
    const Result<std::string> text = dump(model->checked, flags->stage, model->options);
    if (!text) return report(text.error());
    fmt::print("{}", *text);
    return static_cast<int>(kOk);
  };
}

}  // namespace smelt::cli
