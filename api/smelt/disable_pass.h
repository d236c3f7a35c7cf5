// Passes that can be left out: by name, for looking for a mistake or for what a pass is worth.
#pragma once

#include <string_view>
#include <vector>

#include "api/smelt/compile.h"

namespace smelt {

/// The passes of the table that are not needed, then `fusion` and `llvm`.
std::vector<std::string_view> optional_passes();

/// Leaves the pass out of what `options` compile. Without `fusion` each value has a kernel and memory of its own;
/// without `llvm` the code is as it was emitted. Errors (Usage): an unknown pass, with a near one; one that is needed,
/// with the reason.
Result<void> disable_pass(ModelOptions& options, std::string_view name);

}  // namespace smelt
