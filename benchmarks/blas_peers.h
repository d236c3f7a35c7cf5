// Single-precision products of the libraries that are installed, opened at run time: the build needs none of them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

/// c[m, n] = a * b, row-major and dense; a transposed operand lies in memory as [k, m] or [n, k].
struct BlasProduct {
  int64_t m = 0, n = 0, k = 0;
  bool a_transposed = false, b_transposed = false;
};

struct BlasLibrary {
  std::string name;
  std::function<void(const BlasProduct&, const float* a, const float* b, float* c)> multiply;
};

void eigen_multiply(const BlasProduct& product, const float* a, const float* b, float* c);

/// Eigen on one thread; OpenBLAS, BLIS and oneDNN, those that are there, each set to `threads` threads.
std::vector<BlasLibrary> blas_libraries(int threads);
