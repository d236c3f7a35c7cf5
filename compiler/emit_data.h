// The part of a C header that is about the data: in which order `smelt train` visits rows, and what labels may be.
#pragma once

#include <set>
#include <string>

#include "runtime/program.h"

namespace smelt {

/// `<name>_order`, for data sections after the first `<name>_order_<section>`, and what checks labels. `used` has the
/// header's names.
std::string emit_data(const CompiledProgram& program, const std::string& name, std::set<std::string>& used);

/// For a comment: what the size of a run-time dim is in a batch of strings. Empty for other dims.
std::string length_text(const CompiledProgram& program, int32_t symbol);

}  // namespace smelt
