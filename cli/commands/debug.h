// The tools of `smelt debug`, one file each.
#pragma once

#include "cli/common.h"

namespace smelt::cli {

struct DebugTool {
  Options options;
  Runner run;
};
DebugTool add_debug_grads(Options options);
DebugTool add_debug_passes(Options options);
DebugTool add_debug_pass(Options options);
DebugTool add_debug_fuzz(Options options);
DebugTool add_debug_reduce(Options options);
DebugTool add_debug_scalars(Options options);

}  // namespace smelt::cli
