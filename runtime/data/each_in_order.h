// Files of a split, taken by threads one after the other.
#pragma once

#include <cstddef>
#include <functional>

#include "ir/support/result.h"

namespace smelt {

/// Calls read(i) for each i below `count`, on up to `threads` threads; on one where the system has no more to give.
/// Errors: the first failure in the order of i, so that it is the same on any number of threads; Limit when memory runs
/// out in `read`.
Result<void> each_in_order(size_t count, int threads, const std::function<Result<void>(size_t)>& read);

}  // namespace smelt
