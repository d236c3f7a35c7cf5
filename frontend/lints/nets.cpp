// Who reads and who updates which parameters: nets that nothing trains, that a loss ignores, that two opponents pull
// at, and statistics of a batch under a derivative.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "frontend/lints/lint.h"
#include "ir/example_axis.h"
#include "ir/experiment.h"

namespace smelt::frontend {

namespace {

const Variable& variable_of(const LintInput& input, int32_t v) {
  return input.experiment.variables[static_cast<size_t>(v)];
}

Span model_span(const LintInput& input, std::string_view net) {
  for (const ast::ModelDecl& model : input.file.ast.models)
    if (model.name.text == net) return model.name.span;
  return {};
}

/// All trained variables of a net.
std::set<int32_t> parameters_of_net(const LintInput& input, std::string_view net) {
  std::set<int32_t> list;
  for (size_t v = 0; v < input.experiment.variables.size(); ++v) {
    const Variable& variable = input.experiment.variables[v];
    const bool average = input.is_average(static_cast<int32_t>(v));
    if (variable.kind == VariableKind::Param && !average && net_of(variable.path) == net)
      list.insert(static_cast<int32_t>(v));
  }
  return list;
}

NodeId loss_node(const FunctionContext& loss) {
  for (const Output& output : loss.function.graph.results)
    if (output.role == ResultRole::Loss) return output.node;
  return {};
}

/// The parameters that the gradient of a loss would reach.
std::set<int32_t> reached_parameters(const LintInput& input, const FunctionContext& loss) {
  std::set<int32_t> list;
  const Graph& graph = loss.function.graph;
  const NodeId root = loss_node(loss);
  if (!root.valid()) return list;
  const std::vector<bool> reached = ancestors_of(graph, root);
  for (const Argument& argument : graph.arguments) {
    if (argument.role == ArgRole::Variable && reached[argument.node.index] &&
        variable_of(input, argument.ref).kind == VariableKind::Param)
      list.insert(argument.ref);
  }
  return list;
}

/// `f.W`, or `f.a.W and 3 more`.
std::string some_paths(const LintInput& input, const std::vector<int32_t>& variables) {
  const std::string& first = variable_of(input, variables[0]).path;
  return variables.size() == 1 ? fmt::format("`{}`", first)
                               : fmt::format("`{}` and {} more", first, variables.size() - 1);
}

}  // namespace

void nets_never_updated(const LintInput& input) {
  std::set<int32_t> updated;
  std::map<std::string, std::vector<int32_t>> idle;  // by net
  std::map<std::string, std::string> reader;
  const auto& objectives = input.experiment.objectives;
  for (size_t i = 0; i < objectives.size(); ++i) {  // of one that does not run W0003 tells
    if (input.runs(i) || !silenced(objectives[i].name))
      updated.insert(objectives[i].updates.begin(), objectives[i].updates.end());
  }
  for (size_t i = 0; i < objectives.size(); ++i) {
    const FunctionContext* loss = input.runs(i) ? input.loss_of(i) : nullptr;
    if (loss == nullptr) continue;
    for (const int32_t v : reached_parameters(input, *loss)) {
      const std::string& path = variable_of(input, v).path;
      if (updated.contains(v) || input.is_average(v) || silenced(path)) continue;
      std::vector<int32_t>& list = idle[std::string(net_of(path))];
      if (std::ranges::find(list, v) == list.end()) list.push_back(v);
      reader.try_emplace(std::string(net_of(path)), objectives[i].name);
    }
  }
  for (const auto& [net, list] : idle) {
    const auto& pretrained = input.experiment.pretrained;
    if (std::ranges::find(pretrained, net, &Pretrained::model) != pretrained.end()) continue;  // it may stay as it is
    const bool whole = list.size() == parameters_of_net(input, net).size();
    const Span span = whole ? model_span(input, net) : variable_of(input, list[0]).layer;
    input.diagnostics
        .report(Diag::W0007, span,
                whole ? fmt::format("`{}` is part of the loss of `{}`, and no objective updates it", net, reader[net])
                      : fmt::format("{} of `{}` {} part of the loss of `{}`, and no objective updates {}",
                                    some_paths(input, list), net, list.size() == 1 ? "is" : "are", reader[net],
                                    list.size() == 1 ? "it" : "them"))
        .with_help(fmt::format("add `{}` to the `updates` of an objective; if it is to stay as it starts, say so with "
                               "`stop(..)`, or call the model `_{}`",
                               net, net));
  }
}

/// Where an objective says that it updates a net.
static Span span_of_update(const LintInput& input, size_t objective, const std::string& net) {
  const ast::ObjectiveDecl& decl = input.file.ast.objectives[objective];
  for (const ast::ExprId id : decl.updates) {
    const auto* name = input.file.ast.as<ast::NameExpr>(id);
    if (name != nullptr && name->name == net) return input.file.ast[id].span;
  }
  return decl.name.span;
}

/// Parameters that the file declares are shown where it does. Those of the library's layers are nothing that the file
/// shows: they are told of together, where the objective says what it updates.
static void parts_without_influence(const LintInput& input, size_t objective, const std::string& net,
                                    const std::vector<int32_t>& list) {
  const std::string& name = input.experiment.objectives[objective].name;
  const Span place = span_of_update(input, objective, net);
  std::vector<int32_t> of_library;
  for (const int32_t v : list) {
    const Variable& variable = variable_of(input, v);
    if (variable.span.file == place.file)
      input.diagnostics.report(
          Diag::W0002, variable.span,
          fmt::format("objective `{}` updates `{}`, which has no influence on its loss", name, variable.path));
    else
      of_library.push_back(v);
  }
  if (of_library.empty()) return;
  input.diagnostics
      .report(Diag::W0002, place,
              fmt::format("objective `{}` updates {}, which {} no influence on its loss", name,
                          some_paths(input, of_library), of_library.size() == 1 ? "has" : "have"))
      .with_help("name the parts that it does update, `updates net.a, net.b`; behind `stop(..)` one has no influence");
}

void nets_without_influence(const LintInput& input) {
  for (size_t i = 0; i < input.experiment.objectives.size(); ++i) {
    const Objective& objective = input.experiment.objectives[i];
    const FunctionContext* loss = input.runs(i) ? input.loss_of(i) : nullptr;
    if (loss == nullptr) continue;
    const std::set<int32_t> reached = reached_parameters(input, *loss);
    std::map<std::string, std::vector<int32_t>> idle;  // by net
    std::map<std::string, size_t> all;
    for (const int32_t v : objective.updates) {
      const Variable& variable = variable_of(input, v);
      if (variable.kind != VariableKind::Param) continue;
      ++all[std::string(net_of(variable.path))];
      if (!reached.contains(v) && !silenced(variable.path)) idle[std::string(net_of(variable.path))].push_back(v);
    }
    for (const auto& [net, list] : idle) {
      if (list.size() != all[net]) {
        parts_without_influence(input, i, net, list);
        continue;
      }
      input.diagnostics
          .report(Diag::W0008, span_of_update(input, i, net),
                  fmt::format("objective `{}` updates `{}`, and its loss ignores `{}`", objective.name, net, net))
          .with_help(fmt::format("use `{0}` in the loss, or leave it out of `updates`; behind `stop(..)` it counts "
                                 "as ignored",
                                 net));
    }
  }
}

namespace {

/// How a loss applies a net: where, and to what another net made or not.
struct Applied {
  bool to_other = false, to_rest = false;  // to what the other net made; to something else
  bool last = false;                       // no parameter of another net comes behind it
};

Applied applications(const LintInput& input, const FunctionContext& loss, std::string_view net,
                     std::string_view other) {
  const Graph& graph = loss.function.graph;
  const auto of_other = [&](int32_t v) { return net_of(variable_of(input, v).path) == other; };
  const std::vector<bool> from_other = computed_from(graph, parameters_of(input, graph, of_other));
  Applied applied;
  std::vector<NodeId> results;
  for (const FunctionContext::LayerCall& call : loss.layer_calls) {
    if (call.path != net || call.end == call.begin) continue;
    bool made = false;
    for (uint32_t i = call.begin; i < call.end; ++i) made = made || from_other[i];
    (made ? applied.to_other : applied.to_rest) = true;
    results.push_back({call.end - 1});
  }
  applied.last = true;
  const std::vector<bool> behind = computed_from(graph, results);
  for (const FunctionContext::LayerCall& call : loss.layer_calls) {
    if (call.path.find('.') != std::string::npos || call.path == net) continue;
    for (uint32_t i = call.begin; i < call.end; ++i) applied.last = applied.last && !behind[i];
  }
  return applied;
}

}  // namespace

/// `d` updates D alone and tells what N makes from something else; `g` updates N through D, and D with it.
void critics_updated_by_their_opponent(const LintInput& input) {
  const auto& objectives = input.experiment.objectives;
  const auto nets_of = [&](size_t i) {
    std::set<std::string> nets;
    for (const int32_t v : objectives[i].updates)
      if (variable_of(input, v).kind == VariableKind::Param)
        nets.insert(std::string(net_of(variable_of(input, v).path)));
    return nets;
  };
  for (size_t g = 0; g < objectives.size(); ++g) {
    for (size_t d = 0; d < objectives.size(); ++d) {
      if (g == d || !input.runs(g) || !input.runs(d)) continue;
      const std::set<std::string> of_g = nets_of(g), of_d = nets_of(d);
      for (const std::string& critic : of_d) {
        if (!of_g.contains(critic)) continue;
        for (const std::string& opponent : of_g) {
          if (of_d.contains(opponent)) continue;
          const FunctionContext *loss_g = input.loss_of(g), *loss_d = input.loss_of(d);
          if (loss_g == nullptr || loss_d == nullptr) continue;
          const Applied in_d = applications(input, *loss_d, critic, opponent);
          const Applied in_g = applications(input, *loss_g, critic, opponent);
          if (!in_d.to_other || !in_d.to_rest || !in_d.last || !in_g.to_other || !in_g.last) continue;
          input.diagnostics
              .report(Diag::W0009, input.file.ast.objectives[g].name.span,
                      fmt::format("objective `{}` updates `{}` together with `{}`, which `{}` trains against it",
                                  objectives[g].name, critic, opponent, objectives[d].name))
              .label(input.file.ast.objectives[d].name.span, fmt::format("trains `{}` to tell them apart", critic))
              .with_help(fmt::format("write `updates {}`: `{}` is read by the loss all the same", opponent, critic));
        }
      }
    }
  }
}

void batch_norm_under_a_penalty(const LintInput& input) {
  for (const FunctionContext* function : input.functions) {
    const Graph& graph = function->function.graph;
    if (function->function.kind != FunctionKind::Step) continue;
    for (const Node& node : graph.nodes) {
      if (node.op != OpKind::Grad || node.inputs.size() < 2) continue;
      const NodeId y = node.inputs[0], x = node.inputs[1];
      if (graph[x].op == OpKind::Argument) continue;  // by a parameter: the gradient of a step
      const std::vector<bool> to_y = ancestors_of(graph, y), from_x = computed_from(graph, {x});
      for (const FunctionContext::LayerCall& call : function->layer_calls) {
        if (call.layer != "BatchNorm") continue;
        bool between = false;
        for (uint32_t i = call.begin; i < call.end && i <= y.index; ++i) between = between || (to_y[i] && from_x[i]);
        if (!between) continue;
        input.diagnostics
            .report(
                Diag::W0014, node.place(),
                fmt::format("this gradient goes through `{}`, a BatchNorm, which mixes the rows of a batch", call.path))
            .label(call.span, "the statistics of the batch are taken here")
            .with_help("a gradient penalty is one for each row: use LayerNorm, or GroupNorm, in a net under it");
        break;
      }
    }
  }
}

}  // namespace smelt::frontend
