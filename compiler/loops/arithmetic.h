// Arithmetic in statements, by the names of ops, for passes that look for it or add some. They need no op table for
// that.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "compiler/loops/loop_ir.h"

namespace smelt {

/// Whether a statement computes elementwise op `op`.
bool computes(const Stmt& stmt, std::string_view op);
/// A statement that computes elementwise op `op`, which has no attributes. It has no value yet.
Stmt compute(std::string_view op, std::vector<int32_t> operands, DType dtype, Span span);

}  // namespace smelt
