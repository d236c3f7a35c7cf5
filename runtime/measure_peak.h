// What this machine can do at most, measured: the denominators of every share that `bench` and `profile` report.
#pragma once

#include <cstdint>

namespace smelt {

/// GFLOP/s of f32 multiply-adds from registers on `threads` threads at once, in vectors of `vector_bytes` (16, 32 or
/// 64, as far as this machine has them; with 16 a multiplication and an addition); about 40 ms.
double measure_peak_gflops(int threads, int64_t vector_bytes);

/// GB/s at which `threads` threads together read `bytes` of memory over and over, each its share: the bandwidth of the
/// smallest cache that holds them, or of memory, in vectors as above. About 40 ms.
double measure_read_gbps(uint64_t bytes, int threads, int64_t vector_bytes);

}  // namespace smelt
