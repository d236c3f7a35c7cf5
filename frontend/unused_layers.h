// A layer's body is checked where the layer is applied. One that no model uses is applied here, to values of sizes that
// fit most layers, and what is wrong with its shapes for each choice of sizes is reported.
#pragma once

#include <functional>

#include "frontend/value.h"
#include "ir/support/diagnostics.h"

namespace smelt::frontend {

/// Elaborates a buffer of `sources`, whatever becomes of it.
using Elaborate = std::function<void(uint32_t file, Diagnostics& diagnostics)>;

/// Layers of `file` that nothing reaches from a model. Those whose arguments are no tensors of known dims, or that need
/// attributes other than numbers, are left alone. Errors: E0101 to E0111, in the layer's body.
void check_unused_layers(SourceMap& sources, const FileScope& file, const Elaborate& elaborate,
                         Diagnostics& diagnostics);

}  // namespace smelt::frontend
