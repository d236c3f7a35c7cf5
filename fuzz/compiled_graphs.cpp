#include "fuzz/compiled_graphs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "compiler/codegen/emit_program.h"
#include "compiler/codegen/make_target.h"
#include "compiler/fit_budget.h"
#include "compiler/plan/isolate_results.h"
#include "compiler/run_passes.h"
#include "fuzz/tensor_memory.h"
#include "ir/support/check.h"
#include "runtime/abi.h"

namespace smelt::fuzz {
namespace {

constexpr size_t kArenaAlignment = SMELT_ARENA_ALIGNMENT;
// 200 graphs of seed 424242 take 52 s with as many plans as a user's budget has, 38 s with 100; 70 instead of 100
// values are computed again then (the last lines of `smelt debug fuzz`).
constexpr int kPlansToLeast = 100;

Graph as_plain_function(Graph graph, std::string name) {
  graph.name = std::move(name);
  for (Argument& argument : graph.arguments) argument.role = ArgRole::Feed;
  for (Output& result : graph.results) result.role = ResultRole::Value;
  return isolate_results(std::move(graph));
}

bool has_f64_vectors(const Graph& graph) {
  return std::ranges::any_of(graph.nodes,
                             [](const Node& node) { return node.type.dtype == DType::F64 && node.type.rank() > 0; });
}

/// Half way between the least that is found and what no budget takes.
FunctionUnit plan_in_half(FunctionUnit usual, const PassContext& context) {
  const int64_t least = plan_within(usual, context.lower.begin, context, kPlansToLeast).end();
  return plan_within(usual, least + (usual.end() - least) / 2, context);
}

FunctionUnit place(const Graph& graph, DType arithmetic, Target target, const CodeOptions& options) {
  if (options.serial_work == 0) target.blocking = kFineBlocking;  // what is shared although small is also cut small
  if (options.cache_bytes > 0) target.blocking.cache_bytes = options.cache_bytes;
  target.serial_work = options.serial_work;
  const PassContext context{
      .fusion = options.fusion,
      .lower = {.arithmetic = arithmetic, .bf16_products = arithmetic == DType::F32, .begin = sizeof(smelt_arena)},
      .target = std::move(target),
      .small_bytes = 0};
  FunctionUnit placed = place_function({graph, {}}, context);
  if (options.memory == Memory::Budget) placed = plan_in_half(std::move(placed), context);
  const std::vector<std::string> violations = verify(placed);
  SMELT_CHECK(violations.empty(), "{}\n{}", fmt::join(violations, "\n"), print(placed.loops));
  return placed;
}

std::byte* open_arena(GuardedMemory& memory, const std::vector<size_t>& temporaries, Placement placement) {
  std::byte* header = memory.allocate(sizeof(smelt_arena), kArenaAlignment, Placement::StartAtGuard);
  for (const size_t bytes : temporaries) memory.allocate(bytes, kArenaAlignment, placement);
  return header;
}

size_t total_footprint(const std::vector<size_t>& sizes) {
  size_t total = GuardedMemory::footprint(sizeof(smelt_arena));
  for (const size_t bytes : sizes) total += GuardedMemory::footprint(bytes);
  return total;
}

size_t bytes_of(const TensorType& type) { return static_cast<size_t>(byte_size(type).value()); }

/// Gives each temporary the place that `open_arena` will give it; returns their sizes.
std::vector<size_t> place_apart(LoopFunction& function, Placement placement) {
  std::vector<LoopBuffer*> buffers;
  std::vector<size_t> sizes;
  for (LoopBuffer& buffer : function.buffers) {
    if (buffer.storage != Storage::Temporary) continue;
    buffers.push_back(&buffer);
    sizes.push_back(bytes_of(buffer.type));
  }
  GuardedMemory trial(total_footprint(sizes));
  const std::byte* header = trial.allocate(sizeof(smelt_arena), kArenaAlignment, Placement::StartAtGuard);
  for (size_t i = 0; i < buffers.size(); ++i)
    buffers[i]->offset = trial.allocate(sizes[i], kArenaAlignment, placement) - header;
  return sizes;
}

}  // namespace

LoopFunction loops_of(Graph graph, const Target& target) {
  const DType arithmetic = has_f64_vectors(graph) ? DType::F64 : DType::F32;
  return place(as_plain_function(std::move(graph), "f"), arithmetic, target, {}).loops;
}

std::string loops_text(Graph graph) { return print(loops_of(std::move(graph), make_target("native").value())); }

Result<CompiledGraphs> CompiledGraphs::compile(std::vector<Graph> graphs, const CodeOptions& options) {
  SMELT_TRY(const Target target, make_target(options.cpu));
  LoopProgram program;
  const DType arithmetic = std::ranges::any_of(graphs, has_f64_vectors) ? DType::F64 : DType::F32;
  std::vector<Function> functions;
  for (size_t g = 0; g < graphs.size(); ++g) {
    Function function{.graph = as_plain_function(std::move(graphs[g]), fmt::format("g{}", g))};
    FunctionUnit planned = place(function.graph, arithmetic, target, options);
    LoopFunction& loops = planned.loops;
    if (options.memory == Memory::Guarded) {
      function.placement = g % 2 == 0 ? Placement::EndAtGuard : Placement::StartAtGuard;
      function.temporaries = place_apart(loops, function.placement);
    } else {
      function.arena_bytes = static_cast<size_t>(planned.end());
      function.num_again = planned.plan.again.size();
    }
    program.functions.push_back(std::move(loops));
    functions.push_back(std::move(function));
  }
  const std::vector<char> object = emit_program(program, target, CodeKind::Object, {.optimize = options.optimize});
  SMELT_TRY(LoadedObject loaded, LoadedObject::load(object));
  CompiledGraphs compiled(std::move(loaded));
  for (Function& function : functions) {
    function.entry = compiled.object_.find(function.graph.name);
    SMELT_CHECK(function.entry != nullptr, "the object has no entry `{}`", function.graph.name);
  }
  compiled.functions_ = std::move(functions);
  return compiled;
}

RunOutcome CompiledGraphs::run(size_t index, std::span<const RefTensor> arguments, std::span<const int64_t> extents,
                               const RunOptions& options) const {
  const Function& function = functions_[index];
  const Graph& graph = function.graph;
  std::vector<std::string> names{"the arena's header"};
  size_t total = total_footprint(function.temporaries) + GuardedMemory::footprint(function.arena_bytes);
  const auto add = [&](const std::string& name, NodeId node) {
    names.push_back(name);
    total += GuardedMemory::footprint(bytes_of(graph.type(node)));
  };
  for (size_t t = 0; t < function.temporaries.size(); ++t) names.push_back(fmt::format("temporary {}", t));
  for (const Argument& argument : graph.arguments) add("argument " + argument.name, argument.node);
  for (const Output& result : graph.results) add("result " + result.name, result.node);

  GuardedMemory memory(total);
  std::byte* arena = function.arena_bytes > 0
                         ? memory.allocate(function.arena_bytes, kArenaAlignment, Placement::EndAtGuard)
                         : open_arena(memory, function.temporaries, function.placement);
  const smelt_arena header{.threads = options.threads};
  std::memcpy(arena, &header, sizeof(header));
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  for (size_t i = 0; i < graph.arguments.size(); ++i) {
    std::byte* buffer = memory.allocate(bytes_of(graph.type(graph.arguments[i].node)), 1, options.placement);
    write_tensor(buffer, arguments[i]);
    memory.make_read_only(buffer);
    inputs.push_back(buffer);
  }
  for (const Output& result : graph.results)
    outputs.push_back(memory.allocate(bytes_of(graph.type(result.node)), 1, options.placement));

  const smelt_call call{arena, inputs.data(), outputs.data(), extents.data()};
  RunOutcome outcome;
  outcome.fault = run_guarded([&] { function.entry(&call); });
  if (outcome.fault) return outcome;
  if (const auto block = memory.overwritten())
    outcome.fault = fmt::format("bytes beside {} were written", names[*block]);
  for (size_t r = 0; r < outputs.size(); ++r) {
    outcome.results.push_back(
        read_tensor(static_cast<const std::byte*>(outputs[r]), graph.type(graph.results[r].node), extents));
  }
  return outcome;
}

}  // namespace smelt::fuzz
