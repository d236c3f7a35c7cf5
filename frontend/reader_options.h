// The options of a reader: `size = 64, channels = 3, fit = crop, label = folder, over = white` of `images(..)`,
// `window = 128` of `bytes(..)`, `rate = 8000, window = 4096` of `audio(..)`,
// `length = 40` of `lines(..)`, `lengths = [20, 22]` of `pairs(..)`.
#pragma once

#include "frontend/ast.h"
#include "ir/plan.h"

namespace smelt {

class Diagnostics;

namespace frontend {

class Shapes;
class Evaluator;

/// Reads the options among the arguments of `call` into `source`. Reports those that are unknown, doubled, missing or
/// out of range.
void read_reader_options(const ast::Ast& ast, const ast::CallExpr& call, SourceCall& source, Evaluator& evaluator,
                         Shapes& shapes, Diagnostics& diagnostics);

}  // namespace frontend
}  // namespace smelt
