// What a model is on its way to machine code, as text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/smelt/compile.h"

namespace smelt {

/// The stages that `smelt dump --stage` knows, in order.
std::vector<std::string_view> dump_stages();

/// The text of one stage. `options.passes.stop_after` ends every function after a pass, and `dump_after` prints its
/// functions after passes as well, in front. An empty stage is what the last pass leaves, or `graph` when none is
/// named. Errors (Usage): an unknown stage, or one that there is not where the passes stopped, with those that can be
/// had.
Result<std::string> dump(const CheckedModel& model, std::string_view stage, const ModelOptions& options);

}  // namespace smelt
