#include <fmt/format.h>

#include <map>

#include "ir/op.h"
#include "ir/text.h"
#include "ir/text_reader.h"

namespace smelt {
namespace {

class Printer {
 public:
  explicit Printer(const Graph& graph) : graph_(graph), names_(graph.size()) {
    for (uint32_t i = 0; i < graph.size(); ++i) names_[i] = fmt::format("%{}", i);
    std::map<std::string_view, int> uses;
    for (const Argument& argument : graph.arguments) ++uses[argument.name];
    for (const Argument& argument : graph.arguments) {
      if (is_identifier(argument.name) && uses[argument.name] == 1) {
        names_[argument.node.index] = fmt::format("%{}", argument.name);
      }
    }
  }

  std::string print() const { return (graph_.symbols.empty() ? "" : "dims " + dims() + "\n") + function(); }

  /// Without the table of dims, which a body shares with the graph around it.
  std::string function() const {
    std::string out;
    const std::string name = is_identifier(graph_.name) ? graph_.name : quoted(graph_.name);
    out += fmt::format("func @{}({}) {{\n", name, arguments());
    bool leading = true;  // only arguments, in order, so far
    for (uint32_t i = 0; i < graph_.size(); ++i) {
      const Node& node = graph_.nodes[i];
      leading = leading && node.op == OpKind::Argument && node.attrs.integer("index") == int64_t{i};
      if (!leading) out += fmt::format("  {}\n", line({i}));
    }
    if (!graph_.results.empty()) out += fmt::format("  return {}\n", results());
    return out + "}\n";
  }

 private:
  std::string dims() const {
    std::vector<std::string> parts;
    for (const DimSymbol& symbol : graph_.symbols) parts.push_back(fmt::format("{}<={}", symbol.name, symbol.bound));
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  std::string arguments() const {
    std::vector<std::string> parts;
    for (const Argument& argument : graph_.arguments) {
      const std::string& id = names_[argument.node.index];
      const bool named = id.substr(1) == argument.name;
      std::string part = named ? id : fmt::format("{} {}", id, quoted(argument.name));
      part += fmt::format(": {} {}", to_string(argument.role), type(graph_.type(argument.node)));
      if (argument.ref >= 0) part += fmt::format(" #{}", argument.ref);
      parts.push_back(std::move(part));
    }
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  std::string results() const {
    std::vector<std::string> parts;
    for (const Output& output : graph_.results) {
      std::string part =
          fmt::format("{} as {} {}", names_[output.node.index], to_string(output.role), quoted(output.name));
      if (output.ref >= 0) part += fmt::format(" #{}", output.ref);
      parts.push_back(std::move(part));
    }
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  std::string line(NodeId id) const {
    const Node& node = graph_[id];
    std::string out = fmt::format("{} = {}", names_[id.index], op_def(node).name);
    if (node.op == OpKind::Argument) return out;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      out += fmt::format("{}{}", i == 0 ? " " : ", ", names_[node.inputs[i].index]);
    }
    std::vector<std::string> parts;
    for (const auto& [name, value] : node.attrs) {
      if (!std::holds_alternative<TensorType>(value))
        parts.push_back(fmt::format("{} = {}", name, to_string(value, graph_.symbols)));
    }
    if (!parts.empty()) out += fmt::format(" {{{}}}", fmt::join(parts, ", "));
    out += fmt::format(" : {}", type(node.type));
    return node.body == nullptr ? out : fmt::format("{} {{\n{}  }}", out, indented(Printer(*node.body).function()));
  }

  std::string type(const TensorType& type) const { return to_string(type, graph_.symbols); }

  const Graph& graph_;
  std::vector<std::string> names_;
};

}  // namespace

std::string print(const Graph& graph) { return Printer(graph).print(); }

std::string indented(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t size = text.find('\n') + 1;
    out += fmt::format("    {}", text.substr(0, size));
    text.remove_prefix(size);
  }
  return out;
}

}  // namespace smelt
