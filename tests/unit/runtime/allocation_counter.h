// How often the test program called operator new.
#pragma once

#include <cstdint>

namespace smelt::test {

int64_t num_allocations();

}  // namespace smelt::test
