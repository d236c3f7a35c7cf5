// The canonical layout of a model file: `smelt fmt`.
//
// Ensures:  the tokens, the comments and the line ends between tokens are those of the text; spaces and indents depend
//           on them alone, so that formatting twice changes nothing.
#pragma once

#include <optional>
#include <string>

#include "ir/support/diagnostics.h"
#include "ir/support/limits.h"
#include "ir/support/source.h"

namespace smelt {

/// Nothing when the text does not follow the grammar: `diagnostics` says where.
std::optional<std::string> format_text(SourceMap& sources, uint32_t file, Diagnostics& diagnostics,
                                       const Limits& limits = {});

}  // namespace smelt
