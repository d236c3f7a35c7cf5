#include "compiler/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "compiler/graph/step_functions.h"
#include "compiler/run_passes.h"
#include "ir/scan.h"

namespace smelt {
namespace {

bool has_by_position(const Graph& graph) {
  return std::ranges::any_of(graph.nodes, [](const Node& node) {
    return node.body != nullptr && (is_by_position(node) || has_by_position(*node.body));
  });
}

/// The first one that is not in another loop.
std::optional<NodeId> loop_of(const Graph& graph) {
  for (uint32_t i = 0; i < graph.size(); ++i)
    if (graph.nodes[i].body != nullptr && is_by_position(graph.nodes[i])) return NodeId{i};
  return std::nullopt;
}

void note_symbols(const Graph& graph, std::set<int32_t>& symbols) {
  for (const Node& node : graph.nodes)
    for (const Extent& extent : node.type.shape)
      if (!extent.is_static())
        for (const SizeTerm& term : size_of_symbol(graph.symbols, extent.symbol).terms) symbols.insert(term.symbol);
}

class GenerationAdder {
 public:
  GenerationAdder(Experiment& experiment, const PassContext& context) : experiment_(experiment), context_(context) {}

  Generation add(const Function& function) {
    Generation generation{.name = function.name};
    if (std::ranges::find(context_.skip, "derive_steps") != context_.skip.end()) {
      generation.why_not = "the pass `derive_steps` is left out";
      return generation;
    }
    const Graph graph = graph_before("derive_steps", function.graph, context_);
    const std::optional<NodeId> loop = loop_of(graph);
    if (!loop) {
      generation.why_not = "its loop is in another loop";
      return generation;
    }
    const auto first = static_cast<int32_t>(experiment_.variables.size());
    std::expected<StepFunctions, std::string> functions = step_functions(graph, *loop, first);
    if (!functions) {
      generation.why_not = functions.error();
      return generation;
    }
    add_variables(function, *functions, generation);
    generation.num_positions = functions->num_positions;
    generation.lead = functions->lead;
    generation.draws = std::ranges::any_of(functions->reset.arguments,
                                           [](const Argument& argument) { return argument.role == ArgRole::Run; });
    generation.reset = add_function(function, "reset", std::move(functions->reset));
    generation.step = add_function(function, "step", std::move(functions->step), generation.reset);
    return generation;
  }

 private:
  /// Laid out by bounds.
  std::string add_variable(const std::string& path, const TensorType& type, Span span) {
    TensorType fixed = type;
    for (Extent& extent : fixed.shape) extent = Extent(extent.bound);
    experiment_.variables.push_back({path, VariableKind::Slot, fixed, span});
    return path;
  }

  void add_variables(const Function& function, const StepFunctions& functions, Generation& generation) {
    for (size_t k = 0; k < functions.states.size(); ++k) {
      const StepState& state = functions.states[k];
      const std::string path =
          add_variable(fmt::format("{}/{}.{}", function.name, k, state.name), state.type, function.span);
      if (k == functions.position) generation.position = path;
    }
    std::set<int32_t> symbols;
    note_symbols(functions.reset, symbols);
    note_symbols(functions.step, symbols);
    for (const int32_t symbol : symbols) {
      const std::string& name = experiment_.symbols[static_cast<size_t>(symbol)].name;
      generation.sizes.emplace_back(
          symbol, add_variable(fmt::format("{}/{}", function.name, name), {DType::I64, {}}, function.span));
    }
  }

  /// `begins`: the function that packs what is the same in all calls of this one.
  int32_t add_function(const Function& of, const std::string& what, Graph graph, int32_t begins = -1) {
    std::string name = fmt::format("{}_{}", of.name, what);
    while (experiment_.find(FunctionKind::Export, name) != nullptr) name += '_';
    graph.name = name;
    Function function{name, FunctionKind::Export, std::move(graph), begins, of.span};
    function.is_step = begins >= 0;
    experiment_.functions.push_back(std::move(function));
    return static_cast<int32_t>(experiment_.functions.size()) - 1;
  }

  Experiment& experiment_;
  const PassContext& context_;
};

}  // namespace

std::vector<Generation> add_generation(Experiment& experiment, const PassContext& context) {
  std::vector<Generation> generations;
  const size_t num_functions = experiment.functions.size();
  for (size_t f = 0; f < num_functions; ++f) {
    const Function function = experiment.functions[f];  // copied first: functions are added
    if (function.kind == FunctionKind::Export && has_by_position(function.graph))
      generations.push_back(GenerationAdder(experiment, context).add(function));
  }
  return generations;
}

}  // namespace smelt
