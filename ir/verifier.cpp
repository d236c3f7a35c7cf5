#include "ir/verifier.h"

#include <fmt/format.h>

#include <set>

#include "ir/builder.h"
#include "ir/op.h"
#include "ir/scan.h"

namespace smelt {
namespace {

class Verifier {
 public:
  Verifier(const Graph& graph, GraphStage stage, bool in_body = false)
      : graph_(graph), stage_(stage), in_body_(in_body) {}

  std::vector<std::string> run() {
    check_symbols();
    for (uint32_t i = 0; i < graph_.size(); ++i) check_node({i});
    check_arguments();
    for (const Output& output : graph_.results) check_result(output);
    return std::move(violations_);
  }

 private:
  template <typename... Parts>
  void report(fmt::format_string<Parts...> format, Parts&&... parts) {
    violations_.push_back(fmt::format(format, std::forward<Parts>(parts)...));
  }
  std::string show(const TensorType& type) const { return to_string(type, graph_.symbols); }

  void check_symbols() {
    std::set<std::string_view> names;
    for (const DimSymbol& symbol : graph_.symbols) {
      if (!names.insert(symbol.name).second) report("run-time dimension `{}` is in the table twice", symbol.name);
      if (symbol.follows() && !follows_from_before(symbol, names.size() - 1))
        report("run-time dimension `{}` does not follow from those before it", symbol.name);
    }
  }

  bool follows_from_before(const DimSymbol& symbol, size_t place) const {
    int32_t last = -1;
    for (const auto& [of, factor] : symbol.of.terms) {
      if (of <= last || static_cast<size_t>(of) >= place || graph_.symbols[static_cast<size_t>(of)].follows() ||
          factor < 1)
        return false;
      last = of;
    }
    const bool is_another = symbol.of != size_of_symbol(graph_.symbols, last);
    return is_another && symbol.bound >= 1 && symbol.bound == largest_of(symbol.of, graph_.symbols);
  }

  void check_extents(NodeId id, const TensorType& type) {
    for (const Extent& extent : type.shape) {
      if (extent.is_static()) continue;
      const auto symbol = static_cast<size_t>(extent.symbol);
      if (extent.symbol < 0 || symbol >= graph_.symbols.size()) {
        report("%{} has run-time dimension {} of {}", id.index, extent.symbol, graph_.symbols.size());
      } else if (extent.scale != 1) {
        report("%{} has {} times `{}`, which only loops may have", id.index, extent.scale, graph_.symbols[symbol].name);
      } else if (extent.bound != graph_.symbols[symbol].bound) {
        report("%{} has bound {} for `{}`, whose bound is {}", id.index, extent.bound, graph_.symbols[symbol].name,
               graph_.symbols[symbol].bound);
      }
    }
  }

  void check_node(NodeId id) {
    const Node& node = graph_[id];
    const OpDef& def = op_def(node);
    const size_t before = violations_.size();
    for (const NodeId input : node.inputs) {
      if (input.index >= id.index) report("%{} = {} reads %{}", id.index, def.name, input.index);
    }
    if (!takes(def, node.inputs.size())) {
      report("%{} = {} has {} operands of {}", id.index, def.name, node.inputs.size(), def.operands.size());
    }
    check_attributes(id);
    check_extents(id, node.type);
    if (node.op == OpKind::Extent) check_extent_op(id);
    if (stage_ != GraphStage::Any && def.kind == Kind::Meta) report("%{} = {} is left", id.index, def.name);
    if (stage_ == GraphStage::Primitive && def.kind == Kind::Composite) report("%{} = {} is left", id.index, def.name);
    if (node.op == OpKind::Scan || node.op == OpKind::Part || node.body != nullptr) check_scan(id);
    if (violations_.size() == before && node.op == OpKind::Read) check_parts(id);
    if (violations_.size() > before) return;  // infer may assume the rest

    const Result<TensorType> type = infer_type(graph_, node.op, node.inputs, node.attrs);
    if (!type) {
      report("%{}: {}", id.index, type.error().message);
    } else if (*type != node.type) {
      report("%{} = {} has type `{}`, its operands give `{}`", id.index, def.name, show(node.type), show(*type));
    }
  }

  void check_parts(NodeId id) {
    const Node& node = graph_[id];
    const IndexMap& map = node.attrs.formula("formula").operands.at(0);
    const Shape& from = graph_.type(node.inputs[0]).shape;
    for (size_t axis = 0; axis < std::min(map.axes.size(), from.size()); ++axis) {
      for (const auto& [index, factor] : map.axes[axis].terms) {
        if (static_cast<size_t>(index) >= node.type.rank()) continue;  // `infer` says so
        const Extent& part = node.type.shape[static_cast<size_t>(index)];
        if (part.is_static() || from[axis].is_static()) continue;
        const Size rest = size_of_symbol(graph_.symbols, from[axis].symbol) -
                          size_of_symbol(graph_.symbols, part.symbol) - Size{{}, map.axes[axis].constant};
        // Of sizes that differ by a number, bounds say whether the part is inside; else what is left over does.
        if (rest.is_static() || map.bounded || least_of(rest) >= 0) continue;
        report("%{} reads axis {} of `{}` by an index of another run-time dimension", id.index, axis,
               show(graph_.type(node.inputs[0])));
      }
    }
  }

  void check_scan(NodeId id) {
    for (const std::string& wrong : scan_violations(graph_, graph_[id])) report("%{}: {}", id.index, wrong);
    const Graph* body = graph_[id].body.get();
    if (body == nullptr) return;
    if (body->symbols != graph_.symbols) report("%{}: a body with symbols of its own", id.index);
    for (const std::string& wrong : Verifier(*body, stage_, true).run())
      report("in the body of %{}: {}", id.index, wrong);
  }

  void check_attributes(NodeId id) {
    const Node& node = graph_[id];
    const OpDef& def = op_def(node);
    size_t k = 0;
    for (const auto& [name, value] : node.attrs) {
      if (k >= def.attributes.size() || name != def.attributes[k].name ||
          value.index() != static_cast<size_t>(def.attributes[k].type)) {
        report("%{} = {} has an attribute `{}` that its record has not at place {}", id.index, def.name, name, k);
      }
      ++k;
    }
    if (k < def.attributes.size()) report("%{} = {} lacks `{}`", id.index, def.name, def.attributes[k].name);
  }

  void check_extent_op(NodeId id) {
    const Attributes& attrs = graph_[id].attrs;
    if (attrs.find("symbol") == nullptr || attrs.find("bound") == nullptr) return;  // reported already
    check_extents(id, {DType::I64, {Extent(attrs.integer("bound"), static_cast<int32_t>(attrs.integer("symbol")))}});
  }

  void check_arguments() {
    size_t num_nodes = 0;
    for (const Node& node : graph_.nodes) num_nodes += node.op == OpKind::Argument;
    if (num_nodes != graph_.arguments.size()) {
      report("{} argument nodes for {} arguments", num_nodes, graph_.arguments.size());
    }
    for (size_t k = 0; k < graph_.arguments.size(); ++k) check_argument(k);
  }

  void check_argument(size_t k) {
    const Argument& argument = graph_.arguments[k];
    if (argument.node.index >= graph_.size() || graph_[argument.node].op != OpKind::Argument ||
        graph_[argument.node].attrs.find("index") == nullptr ||
        graph_[argument.node].attrs.integer("index") != static_cast<int64_t>(k)) {
      report("argument {} `{}` is not node %{}", k, argument.name, argument.node.index);
      return;
    }
    const TensorType& type = graph_.type(argument.node);
    const auto need = [&](bool holds, std::string_view wanted) {
      if (!holds)
        report("{} argument `{}` is `{}`, not {}", to_string(argument.role), argument.name, show(type), wanted);
    };
    switch (argument.role) {
      case ArgRole::Scalar: need(type == TensorType{DType::F64, {}}, "f64"); break;
      case ArgRole::Seed:
      case ArgRole::Run: need(type == TensorType{DType::I64, {}}, "i64"); break;
      case ArgRole::Rows: need(type.dtype == DType::I32 && type.rank() == 1, "i32 with one axis"); break;
      case ArgRole::Variable:
      case ArgRole::Column:
      case ArgRole::Feed:
      case ArgRole::Carry:
      case ArgRole::Slice:
      case ArgRole::Whole: break;
    }
    const bool of_body =
        argument.role == ArgRole::Carry || argument.role == ArgRole::Slice || argument.role == ArgRole::Whole;
    if (of_body != in_body_)
      report("argument `{}` {} a body is {}", argument.name, in_body_ ? "of" : "outside of", to_string(argument.role));
    const bool refers =
        argument.role == ArgRole::Variable || argument.role == ArgRole::Column || argument.role == ArgRole::Scalar;
    if (refers && argument.ref < 0) report("{} argument `{}` has no ref", to_string(argument.role), argument.name);
  }

  void check_result(const Output& output) {
    if (output.node.index >= graph_.size()) {
      report("result `{}` is no node: %{}", output.name, output.node.index);
      return;
    }
    const bool of_body = output.role == ResultRole::Carry || output.role == ResultRole::Stacked;
    if (of_body != in_body_)
      report("result `{}` {} a body is {}", output.name, in_body_ ? "of" : "outside of", to_string(output.role));
    const TensorType& type = graph_.type(output.node);
    if (guards(output) && (type.rank() != 0 || !is_float(type.dtype))) {
      report("loss `{}` is `{}`, not a float scalar", output.name, show(type));
    }
    if (output.role == ResultRole::Variable && output.ref < 0) report("new variable `{}` has no ref", output.name);
  }

  const Graph& graph_;
  GraphStage stage_;
  bool in_body_;
  std::vector<std::string> violations_;
};

}  // namespace

std::string_view to_string(GraphStage stage) {
  switch (stage) {
    case GraphStage::Any: return "any";
    case GraphStage::Differentiated: return "differentiated";
    case GraphStage::Primitive: return "primitive";
  }
  return "?";
}

std::vector<std::string> verify(const Graph& graph, GraphStage stage) { return Verifier(graph, stage).run(); }

}  // namespace smelt
