#include "cli/commands/debug.h"

#include "cli/commands.h"

namespace smelt::cli {

Runner add_debug(Options options) {
  std::vector<DebugTool> tools{add_debug_passes(options), add_debug_pass(options),   add_debug_grads(options),
                               add_debug_fuzz(options),   add_debug_reduce(options), add_debug_scalars(options)};
  return [tools] {
    for (const DebugTool& tool : tools) {
      if (tool.options.chosen()) return tool.run();
    }
    return report_usage("no debug tool is named",
                        "`smelt debug --help` lists them; start with `smelt debug fuzz --count 100`");
  };
}

}  // namespace smelt::cli
