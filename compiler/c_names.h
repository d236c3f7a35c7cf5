// Names and types of C for a generated header.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "ir/type.h"

namespace smelt {

/// A name as an identifier of C and of C++.
std::string identifier(std::string_view name);

/// `wanted`, or with underscores behind it until nothing in `used` has that name.
std::string unique(std::string wanted, std::set<std::string>& used);

/// The type of an element.
const char* c_type(DType dtype);

}  // namespace smelt
