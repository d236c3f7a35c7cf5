// How often the whole program, its libraries included, asked the C heap for memory. Linking this in replaces malloc.
#pragma once

#include <cstdint>

namespace smelt::test {

int64_t num_heap_calls();

/// Whether malloc is not ours, because a sanitizer brings its own; says so on stderr.
bool skip_without_heap_counter();

}  // namespace smelt::test
