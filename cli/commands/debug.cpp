#include "cli/commands/debug.h"

#include "cli/commands.h"

namespace smelt::cli {

Runner add_debug(CLI::App& app) {
  std::vector<DebugTool> tools{add_debug_passes(app), add_debug_pass(app),   add_debug_grads(app),
                               add_debug_fuzz(app),   add_debug_reduce(app), add_debug_scalars(app)};
  return [tools] {
    for (const DebugTool& tool : tools) {
      if (tool.app->parsed()) return tool.run();
    }
    return report_usage("no debug tool is named",
                        "`smelt debug --help` lists them; start with `smelt debug fuzz --count 100`");
  };
}

}  // namespace smelt::cli
