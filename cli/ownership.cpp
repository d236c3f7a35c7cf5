#include "cli/ownership.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/example_axis.h"

namespace smelt::cli {
namespace {

/// What the loss of `objective` does with each variable.
std::vector<Use> uses_of(const Experiment& experiment, const Objective& objective) {
  std::vector<Use> uses(experiment.variables.size(), Use::None);
  if (objective.loss >= 0) {
    const Graph& graph = experiment.functions[static_cast<size_t>(objective.loss)].graph;
    const std::vector<bool> live = live_nodes(graph);
    const auto loss = std::ranges::find(graph.results, ResultRole::Loss, &Output::role);
    const std::vector<bool> reached =
        loss == graph.results.end() ? std::vector<bool>(graph.size(), false) : ancestors_of(graph, loss->node);
    std::vector<bool> read(graph.size(), false);  // arguments are live whether something reads them or not
    for (uint32_t i = 0; i < graph.size(); ++i)
      for (const NodeId input : graph.nodes[i].inputs) read[input.index] = read[input.index] || live[i];
    for (const Output& output : graph.results)
      read[output.node.index] = read[output.node.index] || output.role != ResultRole::Variable;
    for (const Argument& argument : graph.arguments) {
      if (argument.role != ArgRole::Variable || !read[argument.node.index]) continue;
      uses[static_cast<size_t>(argument.ref)] = reached[argument.node.index] ? Use::Reads : Use::Fixed;
    }
  }
  for (const int32_t variable : objective.updates) {
    Use& use = uses[static_cast<size_t>(variable)];
    if (use == Use::Reads) use = Use::Updates;
  }
  return uses;
}

size_t common_prefix_end(const std::string& path) {
  return path.rfind('.') == std::string::npos ? path.size() : path.rfind('.');
}

/// Rows with the names that `name_of` gives, where all parameters of a name are alike; false when they are not.
bool rows_by(const std::vector<OwnershipRow>& each, std::string (*name_of)(const std::string&),
             std::vector<OwnershipRow>& rows) {
  for (const OwnershipRow& one : each) {
    const std::string name = name_of(one.name);
    const auto row = std::ranges::find(rows, name, &OwnershipRow::name);
    if (row == rows.end()) {
      rows.push_back({name, one.parameters, one.uses});
    } else if (row->uses == one.uses) {
      row->parameters += one.parameters;
    } else {
      return false;
    }
  }
  return true;
}

std::string net_of(const std::string& path) { return path.substr(0, path.find('.')); }
std::string layer_of(const std::string& path) { return path.substr(0, common_prefix_end(path)); }
std::string itself(const std::string& path) { return path; }

}  // namespace

std::string_view to_string(Use use) {
  switch (use) {
    case Use::Updates: return "updates";
    case Use::Reads: return "reads";
    case Use::Fixed: return "as constant";
    case Use::None: return "-";
  }
  return {};
}

std::vector<OwnershipRow> ownership(const Experiment& experiment) {
  std::vector<std::vector<Use>> columns;
  for (const Objective& objective : experiment.objectives) columns.push_back(uses_of(experiment, objective));
  std::vector<std::pair<std::string, std::vector<OwnershipRow>>> nets;
  for (size_t v = 0; v < experiment.variables.size(); ++v) {
    const Variable& variable = experiment.variables[v];
    if (variable.kind != VariableKind::Param) continue;
    const std::string net = net_of(variable.path);
    auto found = std::ranges::find(nets, net, &decltype(nets)::value_type::first);
    if (found == nets.end()) found = nets.insert(nets.end(), {net, {}});
    OwnershipRow row{variable.path, num_elements(variable.type.shape).value_or(0), {}};
    for (const std::vector<Use>& column : columns) row.uses.push_back(column[v]);
    found->second.push_back(std::move(row));
  }
  std::vector<OwnershipRow> rows;
  for (const auto& [net, each] : nets) {
    for (const auto name_of : {net_of, layer_of, itself}) {
      std::vector<OwnershipRow> of_net;
      if (!rows_by(each, name_of, of_net)) continue;
      rows.insert(rows.end(), of_net.begin(), of_net.end());
      break;
    }
  }
  return rows;
}

void print_ownership(const Experiment& experiment) {
  const std::vector<OwnershipRow> rows = ownership(experiment);
  size_t widest = std::string_view("parameters of").size();
  for (const OwnershipRow& row : rows) widest = std::max(widest, row.name.size());
  constexpr size_t kCell = 11;  // `as constant`
  fmt::print("{:{}} {:>12}", "parameters of", widest, "");
  for (const Objective& objective : experiment.objectives)
    fmt::print("  {:{}}", objective.name, std::max(kCell, objective.name.size()));
  fmt::print("\n");
  for (const OwnershipRow& row : rows) {
    fmt::print("{:{}} {:>12}", row.name, widest, row.parameters);
    for (size_t i = 0; i < row.uses.size(); ++i)
      fmt::print("  {:{}}", to_string(row.uses[i]), std::max(kCell, experiment.objectives[i].name.size()));
    fmt::print("\n");
  }
}

}  // namespace smelt::cli
