#include "compiler/lower_experiment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <functional>

#include "compiler/graph/derive_steps.h"
#include "compiler/loops/walk.h"
#include "compiler/lower/build_loops.h"
#include "compiler/pack_once.h"
#include "compiler/run_passes.h"
#include "ir/least_sizes.h"
#include "ir/scan.h"
#include "ir/support/check.h"
#include "ir/support/on_threads.h"
#include "ir/support/printable.h"
#include "runtime/abi.h"

namespace smelt {
namespace {

uint64_t align_up(uint64_t bytes, uint64_t alignment) { return (bytes + alignment - 1) / alignment * alignment; }

BindingKind binding_kind(ArgRole role) {
  switch (role) {
    case ArgRole::Column: return BindingKind::Column;
    case ArgRole::Rows: return BindingKind::Rows;
    default: return BindingKind::Feed;
  }
}
BindingKind binding_kind(ResultRole role) {
  switch (role) {
    case ResultRole::Loss: return BindingKind::Loss;
    case ResultRole::Report:
    case ResultRole::Norm: return BindingKind::Report;
    case ResultRole::Sum: return BindingKind::Sum;
    case ResultRole::Largest: return BindingKind::Largest;
    case ResultRole::Smallest: return BindingKind::Smallest;
    default: return BindingKind::Value;
  }
}

/// A name as part of a linker symbol.
std::string as_identifier(std::string_view name) {
  std::string out;
  for (const char c : name) out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return out;
}

class ExperimentLowering {
 public:
  ExperimentLowering(const Experiment& experiment, const Target& target, const CompileOptions& options,
                     const SourceMap& sources, CompileClock* clock)
      : experiment_(experiment),
        options_(options),
        sources_(sources),
        context_(context_of(experiment, target, options)) {
    context_.clock = clock;
  }

  Result<LoweredExperiment> run() {
    CompiledProgram& program = lowered_.program;
    program.name = experiment_.name;
    program.symbols = experiment_.symbols;
    program.data = experiment_.data;
    program.train = experiment_.train;
    place_fixed();
    context_.lower.begin = static_cast<int64_t>(program.variables_end);
    SMELT_TRY_VOID(add_functions());
    if (over_budget_) return std::unexpected(over_budget_->second);
    for (size_t o = 0; o < experiment_.objectives.size(); ++o) add_objective(static_cast<int32_t>(o));
    add_iteration();
    uint64_t end = program.variables_end;
    for (const LoopFunction& function : lowered_.loops.functions)
      end = std::max(end, static_cast<uint64_t>(function.temporaries.end));
    end = pack_all_once(end);
    if (options_.profile) end = place_stamps(end);
    program.arena_bytes = align_up(end, SMELT_ARENA_ALIGNMENT);
    return std::move(lowered_);
  }

 private:
  /// Header, counters, scalars, variables, in this order.
  void place_fixed() {
    CompiledProgram& program = lowered_.program;
    uint64_t at = sizeof(smelt_arena);
    runs_begin_ = at;
    at += sizeof(int64_t) * experiment_.functions.size();
    for (const ScalarInput& scalar : experiment_.scalars) {
      scalar_offsets_.push_back(at);
      if (scalar.kind != ScalarKind::Setting && scalar.kind != ScalarKind::Loss) continue;
      program.scalars.push_back({scalar, at});
      at += sizeof(double);
    }
    for (const Variable& variable : experiment_.variables) {
      at = align_up(at, SMELT_ARENA_ALIGNMENT);
      program.variables.push_back({variable.path, variable.kind, variable.type, at, variable.average_of});
      at += static_cast<uint64_t>(byte_size(variable.type).value());
    }
    program.variables_end = align_up(at, SMELT_ARENA_ALIGNMENT);
  }

  /// Of functions that another one begins.
  uint64_t pack_all_once(uint64_t end) {
    const std::vector<Function>& functions = experiment_.functions;
    for (size_t f = 0; f < functions.size(); ++f) {
      if (functions[f].kind != FunctionKind::Export || functions[f].ref < 0) continue;
      const auto begins = static_cast<size_t>(functions[f].ref);
      const auto is_written = [&](int32_t ref) {
        for (size_t other = 0; other < functions.size(); ++other) {
          if (functions[other].kind != FunctionKind::Export || other == begins) continue;
          for (const Output& result : functions[other].graph.results)
            if (result.role == ResultRole::Variable && result.ref == ref) return true;
        }
        return false;
      };
      end = static_cast<uint64_t>(pack_once(lowered_.loops.functions[f], lowered_.loops.functions[begins],
                                            static_cast<int64_t>(end), is_written));
    }
    return end;
  }

  uint64_t place_stamps(uint64_t end) {
    for (LoopFunction& function : lowered_.loops.functions) {
      end = align_up(end, SMELT_ARENA_ALIGNMENT);
      function.stamps_offset = static_cast<int64_t>(end);
      end += sizeof(uint64_t) * (function.kernels.size() + 2);
    }
    return end;
  }

  struct PlannedFunction {
    FunctionUnit unit;
    FunctionMemory memory;
  };

  /// Passes see one function each, so they run side by side; what functions share is placed in their order.
  Result<void> add_functions() {
    const std::vector<Function>& functions = experiment_.functions;
    std::vector<std::optional<Result<PlannedFunction>>> planned(functions.size());
    on_threads(functions.size(), [&](size_t f) { planned[f] = plan(functions[f]); });
    for (size_t f = 0; f < functions.size(); ++f) {
      SMELT_TRY(PlannedFunction function, *std::move(planned[f]));
      add_function(functions[f], std::move(function));
    }
    return {};
  }

  Result<PlannedFunction> plan(const Function& function) const {
    PassContext within_budget = context_;
    within_budget.rounds = !function.rounds ? Rounds::Nothing : function.is_step ? Rounds::Products : Rounds::Stores;
    within_budget.lower.is_step = function.is_step;
    PassContext context = within_budget;
    context.memory_budget = 0;
    SMELT_TRY_VOID(check_positions(function, context));
    SMELT_TRY(PassRun run, run_passes(function.graph, context, options_));
    FunctionMemory memory{.bytes_without = run.unit.end(), .flops_without = work_of(run.unit.loops).flops};
    if (const int64_t budget = options_.memory_budget; budget > 0 && run.unit.end() > budget) {
      SMELT_TRY(run, run_passes(function.graph, within_budget, options_));
    }
    memory.bytes = run.unit.end();
    memory.flops = work_of(run.unit.loops).flops;
    memory.num_again = run.unit.plan.again.size();
    return PlannedFunction{std::move(run.unit), memory};
  }

  void add_function(const Function& function, PlannedFunction made) {
    FunctionUnit& planned = made.unit;
    if (const int64_t budget = options_.memory_budget; budget > 0 && planned.end() > budget)
      return note_over_budget(function, planned);
    if (planned.end() > std::max(largest_end_, kSmallArena)) {
      largest_end_ = planned.end();
      lowered_.program.largest = largest_of(planned);
    }
    LoopFunction& loops = planned.loops;
    const size_t index = lowered_.loops.functions.size();
    loops.name = fmt::format("smelt_{}_{}_{}", as_identifier(experiment_.name), to_string(function.kind),
                             as_identifier(function.name));
    loops.runs_offset = static_cast<int64_t>(runs_begin_ + sizeof(int64_t) * index);
    loops.advances = function.kind == FunctionKind::Step;
    for (LoopBuffer& buffer : loops.buffers) {
      if (buffer.storage == Storage::Variable) {
        buffer.offset = static_cast<int64_t>(lowered_.program.variables[static_cast<size_t>(buffer.ref)].offset);
      } else if (buffer.storage == Storage::Scalar && buffer.slot == ScalarSlot::Stored) {
        buffer.offset = static_cast<int64_t>(scalar_offsets_[static_cast<size_t>(buffer.ref)]);
      }
    }
    add_entry(function, planned.source.graph, loops);
    lowered_.loops.functions.push_back(std::move(loops));
    lowered_.optimized.push_back(std::move(planned.source.graph));
    lowered_.fusion.push_back(std::move(planned.plan));
    lowered_.memory.push_back(made.memory);
  }

  static bool has_by_position(const Graph& graph) {
    return std::ranges::any_of(graph.nodes, [](const Node& node) {
      return node.body != nullptr && (is_by_position(node) || has_by_position(*node.body));
    });
  }

  /// `scan .. by position` is a promise that the pass `derive_steps` keeps.
  Result<void> check_positions(const Function& function, const PassContext& context) const {
    const bool left_out = std::ranges::find(options_.skip, "derive_steps") != options_.skip.end();
    if (left_out || !has_by_position(function.graph)) return {};
    CompileOptions options = options_;
    options.stop_after = "derive_steps";
    options.dump_after.clear();
    SMELT_TRY(const PassRun run, run_passes(function.graph, context, options));
    const std::optional<NotByPosition> found = not_by_position(run.unit.source.graph);
    if (!found) return {};
    const std::string library =
        found->library.empty()
            ? ""
            : fmt::format(", in `{}` of {}", printable(sources_.text(found->place)), sources_.describe(found->library));
    return fail(
        ErrorKind::Model,
        fmt::format("{}: {} `{}`: a step of `scan .. by position` computes one position of its model, but {}{}",
                    sources_.describe(found->place), to_string(function.kind), function.name, found->why, library),
        "a step writes one position, `text <- where(index(T) == s + 1, next, text)`, and reads its model there, "
        "`y = net(text)` and `y[n, s, k]`; the model looks back only (`causal = true`, CausalConv1d, LSTM); "
        "without `by position` every step computes the whole",
        found->place);
  }

  struct Tensor {
    std::string text;
    int64_t bytes = 0;
    Span place;  // in the user's file where one is known, else in the library's
  };

  /// All that a function's arena holds, the largest first.
  std::vector<Tensor> tensors_of(const FunctionUnit& planned) const {
    std::vector<Tensor> tensors;
    for (const Variable& variable : experiment_.variables) {
      tensors.push_back({fmt::format("{} `{}`", to_string(variable.kind), variable.path),
                         byte_size(variable.type).value_or(0),
                         variable.layer.empty() ? variable.span : variable.layer});
    }
    const std::vector<NodeId> made_for = nodes_of_buffers(planned.source.graph, planned.plan, planned.loops);
    const std::vector<Lifetime> alive = lifetimes(planned.loops);
    for (size_t b = 0; b < planned.loops.buffers.size(); ++b) {
      const LoopBuffer& buffer = planned.loops.buffers[b];
      if (buffer.storage != Storage::Temporary || alive[b].last < 0) continue;
      const Node& node = planned.source.graph[made_for[b]];
      tensors.push_back({fmt::format("`{}` {}", buffer.name, to_string(buffer.type, planned.loops.symbols)),
                         byte_size(buffer.type).value_or(0), node.place()});
    }
    std::ranges::stable_sort(tensors, std::greater<>(), &Tensor::bytes);
    return tensors;
  }

  /// The three largest, with their lines.
  std::vector<std::string> largest_of(const FunctionUnit& planned) const {
    std::vector<Tensor> tensors = tensors_of(planned);
    tensors.resize(std::min<size_t>(tensors.size(), 3));
    std::vector<std::string> largest;
    for (const Tensor& tensor : tensors) {
      const std::string place = sources_.describe(tensor.place);
      largest.push_back(
          fmt::format("{}, {} bytes{}{}", tensor.text, tensor.bytes, place.empty() ? "" : ", of ", place));
    }
    return largest;
  }

  /// The one that takes most, so that a budget that is enough for it is enough for all.
  void note_over_budget(const Function& function, const FunctionUnit& planned) {
    if (over_budget_ && over_budget_->first >= planned.end()) return;
    over_budget_.emplace(planned.end(), too_large(function, planned).error());
  }

  /// The budget cannot be kept: what would do, and what takes most.
  std::unexpected<Error> too_large(const Function& function, const FunctionUnit& planned) const {
    const std::vector<Tensor> tensors = tensors_of(planned);
    const CompiledProgram& program = lowered_.program;
    const std::optional<LooseBounds> loose = loose_bounds(program.symbols, program.train);
    return fail(
        ErrorKind::Limit,
        fmt::format("{} `{}` cannot run in a memory budget of {} bytes: the least that was found is {} bytes, "
                    "{} of them for variables; the largest tensors are {}{}",
                    to_string(function.kind), function.name, options_.memory_budget, planned.end(),
                    program.variables_end, fmt::join(largest_of(planned), "; "), loose ? "; " + loose->text : ""),
        fmt::format("give --memory-budget {} or more, or {}", planned.end(),
                    loose ? loose->help : "make the batch smaller with --batch"),
        tensors.empty() ? Span{} : tensors.front().place);
  }

  /// Constants have no line of their own.
  std::string place_of(const Span& span, const Function& function) const {
    return sources_.describe(span.empty() ? function.span : span);
  }

  void add_entry(const Function& function, const Graph& graph, const LoopFunction& loops) {
    Entry entry{.name = function.name, .kind = function.kind, .symbol = loops.name, .ref = function.ref};
    entry.runs_offset = static_cast<uint64_t>(loops.runs_offset);
    entry.couplings = function.couplings;
    for (RowCoupling& coupling : entry.couplings) coupling.place = place_of(coupling.span, function);
    for (const Argument& argument : graph.arguments) {
      if (!is_input(argument.role)) continue;
      entry.inputs.push_back(
          {argument.name, binding_kind(argument.role), graph.type(argument.node), argument.ref, argument.limit});
    }
    for (const Output& result : graph.results) {
      if (result.role == ResultRole::Variable) continue;
      entry.outputs.push_back({result.name, binding_kind(result.role), graph.type(result.node), result.ref,
                               result.labels, result.range, guards(result)});
    }
    entry.has_horizon = reads_horizon(graph);
    for (const Node& node : graph.nodes) {
      for (const Extent& extent : node.type.shape) {
        if (extent.is_static()) continue;
        for (const auto& [symbol, factor] : size_of_symbol(graph.symbols, extent.symbol).terms)
          if (std::ranges::find(entry.symbols, symbol) == entry.symbols.end()) entry.symbols.push_back(symbol);
      }
    }
    for (const LeastSize& least : least_sizes(function.graph))
      entry.least.push_back({least.symbol, least.size, place_of(least.span, function)});
    for (const Kernel& kernel : loops.kernels) {
      entry.flops += kernel.flops;
      entry.bytes += kernel.bytes;
    }
    lowered_.program.entries.push_back(std::move(entry));
  }

  bool reads_horizon(const Graph& graph) const {
    std::vector<bool> read(graph.size());
    for (const Node& node : graph.nodes) {
      for (const NodeId input : node.inputs) read[input.index] = true;
    }
    return std::ranges::any_of(graph.arguments, [&](const Argument& argument) {
      return argument.role == ArgRole::Scalar && read[argument.node.index] &&
             experiment_.scalars[static_cast<size_t>(argument.ref)].kind == ScalarKind::Horizon;
    });
  }

  void add_objective(int32_t index) {
    const Objective& objective = experiment_.objectives[static_cast<size_t>(index)];
    lowered_.program.steps.push_back({objective.name, objective.step, objective.takes_data});
  }

  void add_iteration() {
    for (const LoopItem& item : experiment_.train.loop) {
      for (int32_t time = 0; time < item.times; ++time) {
        for (const int32_t objective : item.objectives) {
          lowered_.program.iteration_calls.push_back(objective);
          lowered_.loops.iteration.push_back(experiment_.objectives[static_cast<size_t>(objective)].step);
        }
      }
    }
    if (lowered_.loops.iteration.empty()) return;
    lowered_.program.iteration_symbol = fmt::format("smelt_{}_iteration", as_identifier(experiment_.name));
    lowered_.loops.iteration_symbol = lowered_.program.iteration_symbol;
  }

  const Experiment& experiment_;
  const CompileOptions& options_;
  const SourceMap& sources_;
  PassContext context_;
  LoweredExperiment lowered_;
  static constexpr int64_t kSmallArena = int64_t{16} << 20;  // nobody asks what it is made of
  std::optional<std::pair<int64_t, Error>> over_budget_;  // the least that was found, for the function that takes most
  int64_t largest_end_ = 0;
  uint64_t runs_begin_ = 0;
  std::vector<uint64_t> scalar_offsets_;
};

}  // namespace

PassContext context_of(const Experiment& experiment, const Target& target, const CompileOptions& options) {
  return {.fusion = options.fusion,
          .precision = experiment.precision,
          .lower = {.scalars = experiment.scalars,
                    .batch_symbol = experiment.train.batch_symbol,
                    .batch = experiment.train.batch,
                    .arithmetic = experiment.precision == DType::F64 ? DType::F64 : DType::F32,
                    .bf16_products = experiment.precision == DType::BF16},
          .target = target,
          .memory_budget = options.memory_budget,
          .skip = options.skip};
}

Result<LoweredExperiment> lower_experiment(const Experiment& experiment, const Target& target,
                                           const CompileOptions& options, const SourceMap& sources,
                                           CompileClock* clock) {
  return ExperimentLowering(experiment, target, options, sources, clock).run();
}

}  // namespace smelt
