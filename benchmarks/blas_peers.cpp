#include "benchmarks/blas_peers.h"

#include <dlfcn.h>

#include <cstdlib>

namespace {

using CblasGemm = void (*)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float* a,
                           int lda, const float* b, int ldb, float beta, float* c, int ldc);
using DnnlGemm = int (*)(char trans_a, char trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
                         int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);
using SetThreads = void (*)(int);
using SetLongThreads = void (*)(int64_t);

constexpr int kRowMajor = 101, kNoTranspose = 111, kTranspose = 112;  // of cblas.h

/// Each in a name space of its own: both BLAS libraries define cblas_sgemm.
void* open(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
  }
  return nullptr;
}

template <typename Function>
Function find(void* library, const char* name) {
  return library == nullptr ? nullptr : reinterpret_cast<Function>(dlsym(library, name));
}

int leading(bool transposed, int64_t as_written, int64_t otherwise) {
  return static_cast<int>(transposed ? otherwise : as_written);
}

BlasLibrary blas(const char* name, CblasGemm gemm) {
  return {name, [gemm](const BlasProduct& p, const float* a, const float* b, float* c) {
            gemm(kRowMajor, p.a_transposed ? kTranspose : kNoTranspose, p.b_transposed ? kTranspose : kNoTranspose,
                 static_cast<int>(p.m), static_cast<int>(p.n), static_cast<int>(p.k), 1, a,
                 leading(p.a_transposed, p.k, p.m), b, leading(p.b_transposed, p.n, p.k), 0, c, static_cast<int>(p.n));
          }};
}

BlasLibrary dnnl(DnnlGemm gemm) {
  return {"onednn", [gemm](const BlasProduct& p, const float* a, const float* b, float* c) {
            gemm(p.a_transposed ? 'T' : 'N', p.b_transposed ? 'T' : 'N', p.m, p.n, p.k, 1, a,
                 leading(p.a_transposed, p.k, p.m), b, leading(p.b_transposed, p.n, p.k), 0, c, p.n);
          }};
}

}  // namespace

std::vector<BlasLibrary> blas_libraries(int threads) {
  const std::string count = std::to_string(threads);
  setenv("OMP_NUM_THREADS", count.c_str(), 1);  // read when a library starts
  setenv("BLIS_NUM_THREADS", count.c_str(), 1);
  std::vector<BlasLibrary> libraries;
  if (threads == 1) libraries.push_back({"eigen", eigen_multiply});
  void* openblas = open({"libopenblas.so.0"});
  if (const auto gemm = find<CblasGemm>(openblas, "cblas_sgemm")) {
    if (const auto set = find<SetThreads>(openblas, "openblas_set_num_threads")) set(threads);
    libraries.push_back(blas("openblas", gemm));
  }
  void* blis = open({"libblis.so.4"});
  if (const auto gemm = find<CblasGemm>(blis, "cblas_sgemm")) {
    if (const auto set = find<SetLongThreads>(blis, "bli_thread_set_num_threads")) set(threads);
    libraries.push_back(blas("blis", gemm));
  }
  if (const auto gemm = find<DnnlGemm>(open({"libdnnl.so.2", "libdnnl.so.3"}), "dnnl_sgemm"))
    libraries.push_back(dnnl(gemm));
  return libraries;
}
