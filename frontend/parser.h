// Tokens -> Ast: recursive descent over the grammar of docs/language.md, one function a rule.
//
// Ensures:  every mistake is reported at its place; the tree holds what could be read. After a mistake the
// parser skips
//           to the end of the statement or section and carries on, so one run shows several mistakes.
#pragma once

#include "frontend/ast.h"
#include "ir/support/diagnostics.h"
#include "ir/support/limits.h"

namespace smelt {

/// A `{` that opens attributes of a layer, not a block.
struct AttributeBrace {
  uint32_t begin = 0;     // offset in the text
  bool declares = false;  // `layer Dense{out, act = identity}`, not `Dense{64, act=relu}`
};

/// `braces`: where to put those of the text, in no order.
ast::Ast parse(const SourceMap& sources, uint32_t file, Diagnostics& diagnostics,
               std::vector<AttributeBrace>* braces = nullptr, const Limits& limits = {});

}  // namespace smelt
