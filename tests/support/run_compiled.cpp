#include "tests/support/run_compiled.h"

#include <cstring>
#include <thread>

#include "compiler/codegen/emit_program.h"
#include "compiler/loops/build_loops.h"
#include "compiler/loops/plan_memory.h"
#include "ir/support/check.h"
#include "runtime/loader.h"

namespace smelt::test {
namespace {

/// Bytes of a tensor laid out by bounds, poisoned where the actual size ends.
class HostBuffer {
 public:
  explicit HostBuffer(const TensorType& type) : type_(type), bytes_(static_cast<size_t>(byte_size(type).value()) + 64) {
    std::memset(bytes_.data(), 0xFF, bytes_.size());
  }
  void* data() { return bytes_.data(); }

  void write(const RefTensor& tensor) {
    for_each(tensor.sizes, [&](size_t at, size_t dense) { set(at, tensor.values[dense]); });
  }
  RefTensor read(std::span<const int64_t> extents) const {
    RefTensor tensor{type_, actual_sizes(type_.shape, extents), {}};
    tensor.values.resize(static_cast<size_t>(tensor.count()));
    for_each(tensor.sizes, [&](size_t at, size_t dense) { tensor.values[dense] = get(at); });
    return tensor;
  }

 private:
  template <typename Visit>
  void for_each(const std::vector<int64_t>& sizes, const Visit& visit) const {
    const std::vector<int64_t> strides = row_major_strides(type_.shape);
    int64_t count = 1;
    for (const int64_t size : sizes) count *= size;
    for (int64_t dense = 0; dense < count; ++dense) {
      int64_t rest = dense, at = 0;
      for (size_t axis = sizes.size(); axis-- > 0;) {
        at += rest % sizes[axis] * strides[axis];
        rest /= sizes[axis];
      }
      visit(static_cast<size_t>(at), static_cast<size_t>(dense));
    }
  }
  template <typename T>
  T& as(size_t at) { return reinterpret_cast<T*>(bytes_.data())[at]; }
  template <typename T>
  const T& as(size_t at) const { return reinterpret_cast<const T*>(bytes_.data())[at]; }

  void set(size_t at, double value) {
    switch (type_.dtype) {
      case DType::Bool:
      case DType::U8: as<uint8_t>(at) = static_cast<uint8_t>(value); return;
      case DType::I8: as<int8_t>(at) = static_cast<int8_t>(value); return;
      case DType::I16: as<int16_t>(at) = static_cast<int16_t>(value); return;
      case DType::I32: as<int32_t>(at) = static_cast<int32_t>(value); return;
      case DType::I64: as<int64_t>(at) = static_cast<int64_t>(value); return;
      case DType::F32: as<float>(at) = static_cast<float>(value); return;
      case DType::F64: as<double>(at) = value; return;
      case DType::F16:
      case DType::BF16: break;
    }
    SMELT_CHECK(false, "no host values of {}", to_string(type_.dtype));
  }
  double get(size_t at) const {
    switch (type_.dtype) {
      case DType::Bool:
      case DType::U8: return as<uint8_t>(at);
      case DType::I8: return as<int8_t>(at);
      case DType::I16: return as<int16_t>(at);
      case DType::I32: return as<int32_t>(at);
      case DType::I64: return static_cast<double>(as<int64_t>(at));
      case DType::F32: return static_cast<double>(as<float>(at));
      case DType::F64: return as<double>(at);
      case DType::F16:
      case DType::BF16: break;
    }
    SMELT_CHECK(false, "no host values of {}", to_string(type_.dtype));
  }

  TensorType type_;
  std::vector<std::byte> bytes_;
};

Graph as_plain_function(Graph graph) {
  graph.name = "f";
  for (Argument& argument : graph.arguments) argument.role = ArgRole::Feed;
  for (Output& result : graph.results) result.role = ResultRole::Value;
  return isolate_results(std::move(graph));
}

bool has_f64_vectors(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (node.type.dtype == DType::F64 && node.type.rank() > 0) return true;
  }
  return false;
}

LoopFunction lower(const Graph& graph, const TileShape& tile) {
  LoopFunction function = build_loops(graph, plan_kernels(graph), {}, {.tile = tile});
  const std::vector<std::string> violations = verify(function);
  SMELT_CHECK(violations.empty(), "{}\n{}", fmt::join(violations, "\n"), print(function));
  return function;
}

struct SpinThreads {
  int count;
  std::atomic<int> waiting{0}, generation{0};
  smelt_threads hooks{};

  explicit SpinThreads(int n) : count(n) {
    hooks = {this, n, &parallel, &barrier};
  }
  static void parallel(void* context, void (*fn)(void*, int32_t, int32_t), void* argument) {
    auto* self = static_cast<SpinThreads*>(context);
    std::vector<std::thread> workers;
    for (int t = 1; t < self->count; ++t) workers.emplace_back([=] { fn(argument, t, self->count); });
    fn(argument, 0, self->count);
    for (std::thread& worker : workers) worker.join();
  }
  static void barrier(void* context, int32_t) {
    auto* self = static_cast<SpinThreads*>(context);
    const int generation = self->generation.load();
    if (self->waiting.fetch_add(1) + 1 == self->count) {
      self->waiting = 0;
      self->generation.fetch_add(1);
      return;
    }
    while (self->generation.load() == generation) std::this_thread::yield();
  }
};

}  // namespace

std::string loops_of(Graph graph) { return print(lower(as_plain_function(std::move(graph)), {})); }

Result<std::vector<RefTensor>> run_compiled(Graph graph, std::span<const RefTensor> arguments,
                                            std::span<const int64_t> extents, const RunOptions& options) {
  graph = as_plain_function(std::move(graph));
  SMELT_TRY(const Target target, make_target(options.cpu));
  LoopProgram program;
  program.vector_dtype = has_f64_vectors(graph) ? DType::F64 : DType::F32;
  const int64_t columns = target.tile_vectors * target.lanes(program.vector_dtype);
  program.functions.push_back(lower(graph, {target.tile_rows, columns}));
  const int64_t arena_bytes = plan_memory(program.functions[0], sizeof(smelt_arena));
  const std::vector<char> object = emit_program(program, target, CodeKind::Object, {.optimize = options.optimize});
  SMELT_TRY(const LoadedObject loaded, LoadedObject::load(object));
  const smelt_entry entry = loaded.find("f");
  SMELT_CHECK(entry != nullptr, "the object has no entry `f`");

  const std::unique_ptr<void, decltype(&std::free)> memory(
      std::aligned_alloc(64, static_cast<size_t>((arena_bytes + 127) / 64 * 64)), &std::free);
  std::memset(memory.get(), 0xFF, static_cast<size_t>(arena_bytes));
  SpinThreads threads(options.threads);
  *static_cast<smelt_arena*>(memory.get()) = smelt_arena{.threads = options.threads > 1 ? &threads.hooks : nullptr};
  std::vector<HostBuffer> inputs, outputs;
  for (size_t i = 0; i < graph.arguments.size(); ++i) {
    inputs.emplace_back(graph.type(graph.arguments[i].node));
    inputs.back().write(arguments[i]);
  }
  for (const Output& result : graph.results) outputs.emplace_back(graph.type(result.node));
  std::vector<const void*> input_pointers;
  std::vector<void*> output_pointers;
  for (HostBuffer& input : inputs) input_pointers.push_back(input.data());
  for (HostBuffer& output : outputs) output_pointers.push_back(output.data());
  const smelt_call call{memory.get(), input_pointers.data(), output_pointers.data(), extents.data()};
  entry(&call);
  std::vector<RefTensor> results;
  for (const HostBuffer& output : outputs) results.push_back(output.read(extents));
  return results;
}

}  // namespace smelt::test
