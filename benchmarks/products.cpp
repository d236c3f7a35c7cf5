// Single contractions: GFLOP/s of generated kernels, beside the multiply-add ceiling measured in the same run, Eigen,
// and OpenBLAS, BLIS and oneDNN where they are installed.
//
//   build/release/benchmarks/products [--threads N] [--cpu LEVEL] [--dtype f32|bf16] [--json] [name part | m,n,k NN ..]
//
// With bf16 both operands of the plain products are bf16 and sums are f32; the ceiling stays that of f32, and no
// library is asked.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "benchmarks/blas_peers.h"
#include "compiler/codegen/emit_program.h"
#include "compiler/codegen/make_target.h"
#include "compiler/plan/isolate_results.h"
#include "compiler/run_passes.h"
#include "ir/builder.h"
#include "ir/text_formula.h"
#include "runtime/buffer.h"
#include "runtime/loader.h"
#include "runtime/measure_peak.h"
#include "runtime/thread_pool.h"

using namespace smelt;

namespace {

constexpr int kRepeats = 31;
constexpr uint16_t kHalf = 0x3F00;  // 0.5 in bf16

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

/// A graph with the arguments `a` and `b` and one result. Plain products have their BLAS form as well.
struct Workload {
  std::string name;
  Graph graph;
  double flops = 0;
  std::optional<BlasProduct> blas;
  std::string convolution = {};  // as benchmarks/peers/torch_convolutions.py reads it
};

struct PlainProduct {
  int64_t m, n, k;
  std::string layout;  // N: as written, T: transposed
};

/// Such as `2048,1024,256 NT`, the name that the table would give it.
std::optional<PlainProduct> product_named(const std::string& name) {
  PlainProduct p{.layout = "NN"};
  char a = 0, b = 0;
  if (std::sscanf(name.c_str(), "%" SCNd64 ",%" SCNd64 ",%" SCNd64 " %c%c", &p.m, &p.n, &p.k, &a, &b) != 5) return {};
  p.layout = {a, b};
  return p;
}

// The table of the performance notes; the last rows are narrow: fewer columns than a vector has lanes.
const PlainProduct kProducts[] = {
    {128, 400, 784, "NN"},   {128, 784, 400, "NT"},    {784, 400, 128, "TN"},  {128, 512, 512, "NN"},
    {64, 1024, 1024, "NN"},  {1024, 1024, 1024, "NN"}, {2048, 512, 512, "NN"}, {2048, 768, 256, "NN"},
    {128, 2048, 2048, "NN"}, {64, 4096, 4096, "NN"},   {128, 128, 32, "NT"},   {128, 32, 128, "NN"},
    {256, 1024, 2048, "TN"}, {1024, 256, 2048, "TN"},  {256, 256, 2048, "TN"}, {1000, 256, 2048, "TN"},
    {768, 256, 2048, "TN"},  {512, 10, 128, "TN"},     {128, 10, 512, "NN"},   {128, 1, 256, "NN"},
};

Workload plain_product(const PlainProduct& p, DType dtype) {
  Workload w{.name = fmt::format("{},{},{} {}", p.m, p.n, p.k, p.layout),
             .graph = {},
             .flops = 2.0 * static_cast<double>(p.m * p.n * p.k),
             .blas = {}};
  w.graph.name = "product";
  Builder b(w.graph);
  const bool at = p.layout[0] == 'T', bt = p.layout[1] == 'T';
  if (dtype == DType::F32) w.blas = BlasProduct{p.m, p.n, p.k, at, bt};
  const auto operand = [&](const char* name, int64_t rows, int64_t columns) {
    const NodeId stored = b.argument({.name = name, .role = ArgRole::Feed}, {dtype, {rows, columns}});
    return dtype == DType::F32 ? stored : b.cast(stored, DType::F32);
  };
  const NodeId x = operand("a", at ? p.k : p.m, at ? p.m : p.k), y = operand("b", bt ? p.n : p.k, bt ? p.k : p.n);
  b.result({.name = "c",
            .node = b.contract(
                x, y, formula_of(fmt::format("{} {} -> [m,n]", at ? "[k,m]" : "[m,k]", bt ? "[n,k]" : "[k,n]")))});
  return w;
}

/// Channels last, square pictures; padding in front of both axes, and as much behind as the result asks for.
struct Convolution {
  int64_t batch, size, channels, filters, height, width, stride, pad_height, pad_width;

  int64_t rows() const { return (size + 2 * pad_height - height) / stride + 1; }
  int64_t columns() const { return (size + 2 * pad_width - width) / stride + 1; }
  std::string name() const {
    return fmt::format("conv {}x{} {}->{} @{}{}", height, width, channels, filters, size,
                       stride == 1 ? "" : fmt::format("/{}", stride));
  }
};
// The layers of DCGANs, those of residual networks, of Inception v3.
constexpr Convolution kConvolutions[] = {
    {64, 32, 3, 64, 4, 4, 2, 1, 1},   {64, 16, 64, 128, 4, 4, 2, 1, 1}, {64, 8, 128, 256, 4, 4, 2, 1, 1},
    {64, 32, 64, 128, 4, 4, 2, 1, 1}, {64, 8, 256, 512, 4, 4, 2, 1, 1}, {8, 56, 64, 64, 3, 3, 1, 1, 1},
    {8, 28, 128, 128, 3, 3, 1, 1, 1}, {8, 14, 256, 256, 3, 3, 1, 1, 1}, {8, 56, 64, 128, 3, 3, 2, 1, 1},
    {8, 56, 256, 64, 1, 1, 1, 0, 0},  {8, 17, 192, 192, 1, 7, 1, 0, 3}, {8, 17, 192, 192, 7, 1, 1, 3, 0},
    {8, 35, 48, 64, 5, 5, 1, 2, 2},   {4, 299, 3, 32, 3, 3, 2, 0, 0},
};

enum class ConvPass : uint8_t { Forward, Input, Weights };

Workload convolution(const Convolution& c, ConvPass pass) {
  const int64_t rows = c.rows(), columns = c.columns();
  Workload w{.name = fmt::format("{} {}", c.name(),
                                 pass == ConvPass::Forward ? "forward"
                                 : pass == ConvPass::Input ? "input"
                                                           : "weights"),
             .graph = {},
             .flops = 2.0 * static_cast<double>(c.batch * rows * columns * c.filters * c.channels * c.height * c.width),
             .blas = {}};
  w.convolution = fmt::format("{} {} {} {} {} {} {} {} {} {}", c.batch, c.size, c.channels, c.filters, c.height,
                              c.width, c.stride, c.pad_height, c.pad_width, w.name.substr(w.name.rfind(' ') + 1));
  w.graph.name = "product";
  Builder b(w.graph);
  const TensorType input{DType::F32, {c.batch, c.size, c.size, c.channels}},
      result{DType::F32, {c.batch, rows, columns, c.filters}};
  const TensorType taps{DType::F32, {c.height, c.width, c.channels, c.filters}};
  const auto argument = [&](const char* name, const TensorType& type) {
    return b.argument({.name = name, .role = ArgRole::Feed}, type);
  };
  // A gradient does not read the operand that it belongs to.
  const NodeId x = pass == ConvPass::Input ? b.constant(1, input) : argument("a", input);
  const NodeId k = pass == ConvPass::Weights ? b.constant(1, taps) : argument("b", taps);
  const NodeId y = b.contract(x, k,
                              formula_of(fmt::format("?[n,{0}*i+u-{1},{0}*j+v-{2},c] [u,v,c,o] -> [n,i<{3},j<{4},o]",
                                                     c.stride, c.pad_height, c.pad_width, rows, columns)));
  if (pass == ConvPass::Forward) {
    b.result({.name = "c", .node = y});
    return w;
  }
  const NodeId ct = argument(pass == ConvPass::Input ? "a" : "b", result);
  const NodeId loss = b.reduce_sum(b.mul(y, ct), {0, 1, 2, 3});
  b.result({.name = "c", .node = b.make(OpKind::Grad, {loss, pass == ConvPass::Input ? x : k})});
  return w;
}

int64_t elements(const TensorType& type) { return num_elements(type.shape).value(); }

double smelt_seconds(const Workload& w, const Target& target, const smelt_threads* threads) {
  const Graph graph = isolate_results(run_graph_passes(w.graph).value());
  LoopProgram program;
  const PassContext context{.lower = {.bf16_products = true, .begin = sizeof(smelt_arena)}, .target = target};
  program.functions.push_back(place_function({graph, {}}, context).loops);
  const auto bytes = static_cast<size_t>(program.functions[0].temporaries.end);
  const auto object = emit_program(program, target, CodeKind::Object);
  const auto loaded = LoadedObject::load(object).value();
  const smelt_entry entry = loaded.find("product");
  Buffer arena = Buffer::allocate(bytes + 64, "arena").value();
  *reinterpret_cast<smelt_arena*>(arena.data()) = smelt_arena{.threads = threads};
  std::vector<Buffer> data;
  const auto filled = [&](const TensorType& type) {
    data.push_back(Buffer::allocate(static_cast<size_t>(byte_size(type).value()), "operand").value());
    if (type.dtype == DType::BF16)
      std::fill_n(reinterpret_cast<uint16_t*>(data.back().data()), elements(type), kHalf);
    else
      std::fill_n(reinterpret_cast<float*>(data.back().data()), elements(type), 0.5f);
    return data.back().data();
  };
  std::vector<const void*> inputs;
  for (const Argument& argument : w.graph.arguments) inputs.push_back(filled(w.graph.type(argument.node)));
  void* outputs[] = {filled(w.graph.type(w.graph.results[0].node))};
  const smelt_call call{arena.data(), inputs.data(), outputs, nullptr};
  return median_seconds([&] { entry(&call); });
}

double blas_seconds(const BlasLibrary& library, const BlasProduct& p) {
  std::vector<float> a(static_cast<size_t>(p.m * p.k), 0.5f), b(static_cast<size_t>(p.k * p.n), 0.25f),
      c(static_cast<size_t>(p.m * p.n));
  return median_seconds([&] { library.multiply(p, a.data(), b.data(), c.data()); });
}

struct Options {
  int threads = 1;
  std::string cpu = "native";
  DType dtype = DType::F32;
  bool json = false;
  std::vector<std::string> names;
};

DType dtype_named(std::string_view name) {
  if (name == "f32") return DType::F32;
  if (name == "bf16") return DType::BF16;
  fmt::print(stderr, "products: unknown dtype `{}`; there are f32 and bf16\n", name);
  std::exit(2);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--json")
      options.json = true;
    else if (arg == "--threads" && i + 1 < argc)
      options.threads = std::atoi(argv[++i]);
    else if (arg == "--cpu" && i + 1 < argc)
      options.cpu = argv[++i];
    else if (arg == "--dtype" && i + 1 < argc)
      options.dtype = dtype_named(argv[++i]);
    else
      options.names.emplace_back(arg);
  }
  return options;
}

nlohmann::json measure(const Workload& w, const Target& target, const Options& options, ThreadPool& pool,
                       const std::vector<BlasLibrary>& libraries) {
  const double peak = measure_peak_gflops(options.threads, target.vector_bytes);
  const double ours = smelt_seconds(w, target, options.threads > 1 ? pool.threads() : nullptr);
  nlohmann::json peers = nlohmann::json::object();
  if (w.blas) {
    for (const BlasLibrary& library : libraries) peers[library.name] = blas_seconds(library, *w.blas) * 1e3;
  }
  double best = 0;
  for (const auto& [name, ms] : peers.items()) best = best == 0 ? ms.get<double>() : std::min(best, ms.get<double>());
  const double floor = w.flops / peak * 1e-6;
  return {{"workload", w.name},     {"threads", options.threads},
          {"smelt_ms", ours * 1e3}, {"peers", peers},
          {"flops", w.flops},       {"convolution", w.convolution},
          {"peak_gflops", peak},    {"ratio_to_best", best > 0 ? nlohmann::json(ours * 1e3 / best) : nlohmann::json()},
          {"floor_ms", floor},      {"share_of_ceiling", floor / (ours * 1e3)}};
}

void show(const nlohmann::json& row, const std::vector<std::string>& names) {
  const double flops = row["flops"];
  const auto rate = [&](const nlohmann::json& ms) { return flops / ms.get<double>() * 1e-6; };
  fmt::print("{:28} {:10.1f} {:9.0f}%", row["workload"].get<std::string>(), rate(row["smelt_ms"]),
             100 * row["share_of_ceiling"].get<double>());
  for (const std::string& name : names) {
    fmt::print("{:>10}", row["peers"].contains(name) ? fmt::format("{:.1f}", rate(row["peers"][name])) : "-");
  }
  fmt::print("\n");
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const Target target = make_target(options.cpu).value();
  const auto pool = ThreadPool::create(options.threads).value();
  const std::vector<BlasLibrary> libraries = blas_libraries(options.threads);
  std::vector<std::string> names;
  for (const BlasLibrary& library : libraries) names.push_back(library.name);
  std::vector<Workload> workloads;
  for (const PlainProduct& p : kProducts) workloads.push_back(plain_product(p, options.dtype));
  for (const std::string& name : options.names) {
    const auto known = [&](const Workload& w) { return w.name.find(name) != std::string::npos; };
    const auto product = product_named(name);
    if (product && std::ranges::none_of(workloads, known)) workloads.push_back(plain_product(*product, options.dtype));
  }
  for (const Convolution& c : kConvolutions) {
    if (options.dtype != DType::F32) break;
    for (const ConvPass pass : {ConvPass::Forward, ConvPass::Input, ConvPass::Weights})
      workloads.push_back(convolution(c, pass));
  }
  if (!options.json) {
    fmt::print("GFLOP/s on {} thread(s), {}\n{:28} {:>10} {:>10}", options.threads, target.cpu, "m,n,k", "smelt",
               "of peak");
    for (const std::string& name : names) fmt::print("{:>10}", name);
    fmt::print("\n");
  }
  nlohmann::json rows = nlohmann::json::array();
  for (const Workload& w : workloads) {
    const auto wanted = [&](const std::string& part) { return w.name.find(part) != std::string::npos; };
    if (!options.names.empty() && std::ranges::none_of(options.names, wanted)) continue;
    rows.push_back(measure(w, target, options, *pool, libraries));
    if (!options.json) show(rows.back(), names);
  }
  if (options.json) fmt::print("{}\n", rows.dump(1));
}
