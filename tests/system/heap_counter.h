// How often the whole program, its libraries included, asked the C heap for memory. Linking this in replaces malloc.
#pragma once

#include <cstdint>

namespace smelt::test {

int64_t num_heap_calls();

}  // namespace smelt::test
