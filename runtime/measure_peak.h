// What this machine can do at most, measured: the denominator of every share that `bench` reports.
#pragma once

namespace smelt {

/// GFLOP/s of f32 multiply-adds from registers on `threads` threads at once, widest vectors of this machine; about
/// 40 ms.
double measure_peak_gflops(int threads);

}  // namespace smelt
