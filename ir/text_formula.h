// Reads the text of extents and index formulas (index_formula.h), the parts of the textual form that other texts share.
#pragma once

#include <string_view>
#include <vector>

#include "ir/index_formula.h"
#include "ir/support/result.h"
#include "ir/text_scanner.h"
#include "ir/type.h"

namespace smelt {

/// `7`, `B<=128` of a symbol, or `$0<=128`.
Result<Extent> read_extent(TextScanner& scanner, const std::vector<DimSymbol>& symbols);

/// `B<=128` of a table; `T-1<=127` and `2*T+U<=300` follow from T and U, which stand before them.
Result<DimSymbol> read_symbol(TextScanner& scanner, const std::vector<DimSymbol>& symbols);

/// `?[n,2*i+u-1,c] [u,c,o] -> [n,i<7,o] over u<3`: any names; those of the result first, the others are summed.
/// Errors (Model): bad syntax; an index twice in the result.
Result<IndexFormula> read_formula(TextScanner& scanner, const std::vector<DimSymbol>& symbols);

/// The whole of `text` is a formula.
Result<IndexFormula> parse_formula(std::string_view text, const std::vector<DimSymbol>& symbols = {});

/// The formula of a text in our own sources: an error is our mistake (InternalError).
IndexFormula formula_of(std::string_view text);

}  // namespace smelt
