// The lines of C that look for a label outside of its dim.
#pragma once

#include <functional>
#include <string>

#include "runtime/program.h"

namespace smelt {

/// Of labels that are fed, which generated code trusts: they lie by bounds and have actual sizes. `size_of` gives the
/// expression of a run-time dim's size, empty where there is none.
std::string label_check(const Binding& input, const std::string& pointer,
                        const std::function<std::string(int32_t)>& size_of);

}  // namespace smelt
