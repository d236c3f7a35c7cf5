// Names and types of C for a generated header.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ir/type.h"

namespace smelt {

/// A name as an identifier of C and of C++.
std::string identifier(std::string_view name);

/// `wanted`, or with underscores behind it until nothing in `used` has that name.
std::string unique(std::string wanted, std::set<std::string>& used);
/// Likewise of a function whose types are called after it: `fade` has `fade_in`, `fade_out` and may have `fade_bind`.
std::string unique_function(std::string wanted, std::set<std::string>& used);

/// Lines that set `extents` of the dims that follow from others, where `size_of` gives the sizes of those, or an empty
/// text.
std::string sizes_that_follow(const std::vector<DimSymbol>& symbols,
                              const std::function<std::string(int32_t)>& size_of);

/// The size of `symbol` where `size_of` gives those of the dims that follow from none, or an empty text.
std::string size_expression(const std::vector<DimSymbol>& symbols, int32_t symbol,
                            const std::function<std::string(int32_t)>& size_of);

/// The type of an element.
const char* c_type(DType dtype);

}  // namespace smelt
