// How often the test program called operator new.
#pragma once

#include <cstdint>

namespace smelt::test {

int64_t num_allocations();

/// Whether the counter is not called, because a sanitizer brings its own operator new; says so on stderr.
bool skip_without_allocation_counter();

}  // namespace smelt::test
