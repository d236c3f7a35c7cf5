// A layer's body is checked where the layer is applied. One that no model uses, and a model that nothing applies, are
// applied here, to values of sizes that fit most layers, and what is wrong with shapes for each choice of sizes is
// reported. Where the file says all sizes, every error is.
#pragma once

#include <functional>

#include "frontend/value.h"
#include "ir/support/diagnostics.h"

namespace smelt {

struct Experiment;

namespace frontend {

/// Elaborates a buffer of `sources`, whatever becomes of it.
using Elaborate = std::function<void(uint32_t file, Diagnostics& diagnostics)>;

/// Layers of `file` that nothing reaches from a model, and models without parameters in `experiment`. Those whose
/// arguments are no tensors of known dims, or that need attributes other than numbers, are left alone. Errors: E0101 to
/// E0111, in layers of the file; where nothing is made up, those of any code.
void check_unused_layers(SourceMap& sources, const FileScope& file, const Experiment& experiment,
                         const Elaborate& elaborate, Diagnostics& diagnostics);

}  // namespace frontend
}  // namespace smelt
