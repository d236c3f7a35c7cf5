// How much of the stack is left: what recurses as deep as a text is nested asks before it goes on.
#pragma once

#include <string_view>

namespace smelt {

/// Of the stack of this thread, 0 to 1; 1 where the system does not say how large it is.
double stack_left();

/// The help of a message about it.
inline constexpr std::string_view kRaiseStack = "give the process a larger stack, such as `ulimit -s 65536`";

}  // namespace smelt
