// Eigen for this very machine: a library of its own, so that its inline functions do not meet those of the rest.
#include <Eigen/Dense>

#include "benchmarks/blas_peers.h"

__attribute__((visibility("default"))) void eigen_multiply(const BlasProduct& p, const float* a, const float* b,
                                                           float* c) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const Matrix> x(a, p.a_transposed ? p.k : p.m, p.a_transposed ? p.m : p.k);
  const Eigen::Map<const Matrix> y(b, p.b_transposed ? p.n : p.k, p.b_transposed ? p.k : p.n);
  Eigen::Map<Matrix> z(c, p.m, p.n);
  if (p.a_transposed && p.b_transposed)
    z.noalias() = x.transpose() * y.transpose();
  else if (p.a_transposed)
    z.noalias() = x.transpose() * y;
  else if (p.b_transposed)
    z.noalias() = x * y.transpose();
  else
    z.noalias() = x * y;
}
