// How often the whole program, its libraries included, asked the C heap for memory, and what happens when it gets none.
// Linking this in replaces malloc.
#pragma once

#include <cstdint>

namespace smelt::test {

int64_t num_heap_calls();
/// After `from` more calls, `number` of them get no memory, in whatever thread.
void fail_heap_calls(int64_t from, int64_t number);
/// From now on all calls get it.
void serve_heap_calls();

/// Whether malloc is not ours, because a sanitizer brings its own; says so on stderr.
bool skip_without_heap_counter();

}  // namespace smelt::test
