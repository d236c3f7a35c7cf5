// The tools of `smelt debug`, one file each.
#pragma once

#include "cli/common.h"

namespace smelt::cli {

struct DebugTool {
  CLI::App* app;
  Runner run;
};
DebugTool add_debug_grads(CLI::App& app);
DebugTool add_debug_passes(CLI::App& app);
DebugTool add_debug_pass(CLI::App& app);
DebugTool add_debug_fuzz(CLI::App& app);
DebugTool add_debug_reduce(CLI::App& app);
DebugTool add_debug_scalars(CLI::App& app);

}  // namespace smelt::cli
