// Single products: GFLOP/s of generated kernels beside Eigen's and the machine's measured multiply-add ceiling.
//
//   build/release/benchmarks/products [threads]
#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "compiler/codegen/emit_program.h"
#include "compiler/loops/build_loops.h"
#include "compiler/loops/plan_kernels.h"
#include "compiler/loops/plan_memory.h"
#include "ir/builder.h"
#include "runtime/buffer.h"
#include "runtime/loader.h"
#include "runtime/thread_pool.h"

using namespace smelt;

namespace {

constexpr int kRepeats = 31;

/// Median seconds of `body`, over windows of at least 2 ms.
template <typename Body>
double median_seconds(const Body& body) {
  const auto now = [] { return std::chrono::steady_clock::now(); };
  body();
  const auto start = now();
  body();
  const double once = std::chrono::duration<double>(now() - start).count();
  const int inner = std::max(1, static_cast<int>(2e-3 / std::max(once, 1e-9)));
  std::vector<double> times;
  for (int r = 0; r < kRepeats; ++r) {
    const auto begin = now();
    for (int i = 0; i < inner; ++i) body();
    times.push_back(std::chrono::duration<double>(now() - begin).count() / inner);
  }
  std::ranges::nth_element(times, times.begin() + kRepeats / 2);
  return times[kRepeats / 2];
}

struct Problem {
  int64_t m, n, k;
  const char* formula;
};

constexpr Problem kProblems[] = {
    {128, 400, 784, "[m,k] [k,n] -> [m,n]"},  {128, 784, 400, "[m,k] [n,k] -> [m,n]"},
    {784, 400, 128, "[k,m] [k,n] -> [m,n]"},  {128, 512, 512, "[m,k] [k,n] -> [m,n]"},
    {64, 1024, 1024, "[m,k] [k,n] -> [m,n]"}, {1024, 1024, 1024, "[m,k] [k,n] -> [m,n]"},
    {128, 256, 784, "[m,k] [k,n] -> [m,n]"},  {128, 128, 32, "[m,k] [n,k] -> [m,n]"},
    {128, 10, 512, "[m,k] [k,n] -> [m,n]"},   {512, 10, 128, "[k,m] [k,n] -> [m,n]"},
};

Graph product_graph(const Problem& p) {
  Graph graph;
  graph.name = "product";
  Builder b(graph);
  const std::string formula = p.formula;
  const auto input = [&](const char* name, const std::string& axes) {
    const auto size = [&](char axis) { return Extent(axis == 'm' ? p.m : axis == 'n' ? p.n : p.k); };
    return b.argument({.name = name, .role = ArgRole::Feed}, {DType::F32, {size(axes[1]), size(axes[3])}});
  };
  const NodeId x = input("a", formula.substr(0, 5)), y = input("b", formula.substr(6, 5));
  b.result({.name = "c", .node = b.contract(x, y, formula)});
  return graph;
}

double smelt_seconds(const Problem& p, const Target& target, const smelt_threads* threads) {
  const Graph graph = isolate_results(product_graph(p));
  LoopProgram program;
  const TileShape tile{target.tile_rows, target.tile_vectors * target.lanes(DType::F32)};
  program.functions.push_back(build_loops(graph, plan_kernels(graph), {}, {.tile = tile}));
  const auto bytes = static_cast<size_t>(plan_memory(program.functions[0], sizeof(smelt_arena)));
  const auto object = emit_program(program, target, CodeKind::Object);
  const auto loaded = LoadedObject::load(object).value();
  const smelt_entry entry = loaded.find("product");
  Buffer arena = Buffer::allocate(bytes + 64, "arena").value();
  *reinterpret_cast<smelt_arena*>(arena.data()) = smelt_arena{.threads = threads};
  std::vector<float> a(static_cast<size_t>(p.m * p.k), 0.5f), b(static_cast<size_t>(p.k * p.n), 0.25f),
      c(static_cast<size_t>(p.m * p.n));
  const void* inputs[] = {a.data(), b.data()};
  void* outputs[] = {c.data()};
  const smelt_call call{arena.data(), inputs, outputs, nullptr};
  return median_seconds([&] { entry(&call); });
}

double eigen_seconds(const Problem& p) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const bool at = p.formula[1] == 'k', bt = p.formula[7] == 'n';
  const Matrix a = Matrix::Random(at ? p.k : p.m, at ? p.m : p.k), b = Matrix::Random(bt ? p.n : p.k, bt ? p.k : p.n);
  Matrix c(p.m, p.n);
  return median_seconds([&] {
    if (at) c.noalias() = a.transpose() * b;
    else if (bt) c.noalias() = a * b.transpose();
    else c.noalias() = a * b;
  });
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const Target target = make_target("native").value();
  const auto pool = ThreadPool::create(threads).value();
  fmt::print("{:28} {:>12} {:>12}   {} thread(s), {}\n", "m, n, k", "smelt GF/s", "eigen GF/s", threads, target.cpu);
  for (const Problem& p : kProblems) {
    const double flops = 2.0 * static_cast<double>(p.m * p.n * p.k);
    const double ours = smelt_seconds(p, target, threads > 1 ? pool->threads() : nullptr);
    const double eigen = eigen_seconds(p);
    fmt::print("{:28} {:12.1f} {:12.1f}\n", fmt::format("{},{},{} {}", p.m, p.n, p.k, std::string(p.formula).substr(0, 11)),
               flops / ours * 1e-9, flops / eigen * 1e-9);
  }
}
