#include <fmt/format.h>

#include <map>
#include <optional>

#include "ir/builder.h"
#include "ir/op.h"
#include "ir/text.h"
#include "ir/text_formula.h"
#include "ir/text_reader.h"
#include "ir/verifier.h"

namespace smelt {
namespace {

template <typename Role>
std::optional<Role> parse_role(std::string_view text, std::initializer_list<Role> roles) {
  for (const Role role : roles) {
    if (to_string(role) == text) return role;
  }
  return std::nullopt;
}

/// Recursive descent; what nests is a body, in braces after the type of its node.
class Parser : TextReader {
 public:
  Parser(TextScanner& scanner, std::string_view text) : TextReader(scanner), builder_(graph_), text_(text) {}

  Result<Graph> parse() {
    if (scanner_.take("dims")) SMELT_TRY_VOID(read_dims());
    SMELT_TRY_VOID(read_function());
    const std::vector<std::string> violations = verify(graph_);
    if (!violations.empty()) return wrong("{}", violations.front());
    return std::move(graph_);
  }

 private:
  Result<void> read_function() {
    SMELT_TRY_VOID(expect("func"));
    SMELT_TRY_VOID(expect("@"));
    if (std::optional<std::string> name = scanner_.quoted()) {
      graph_.name = *std::move(name);
    } else {
      graph_.name = scanner_.word();
    }
    SMELT_TRY_VOID(read_arguments());
    SMELT_TRY_VOID(expect("{"));
    while (!scanner_.take("}")) {
      if (scanner_.take("return")) {
        SMELT_TRY_VOID(read_results());
      } else {
        SMELT_TRY_VOID(read_node());
      }
    }
    for (const Argument& argument : graph_.arguments) {
      if (!argument.node.valid()) return wrong("argument `{}` has no line", argument.name);
    }
    return {};
  }

  /// A body: a graph with the symbols of this one. Its arguments have no lines of their own.
  Result<std::shared_ptr<const Graph>> read_body() {
    if (++depth_ > kMaxDepth) return wrong("bodies are nested more than {} deep", kMaxDepth);
    Parser inner(scanner_, {});
    inner.depth_ = depth_;
    inner.graph_.symbols = graph_.symbols;
    SMELT_TRY_VOID(inner.read_function());
    SMELT_TRY_VOID(expect("}"));
    --depth_;
    return std::make_shared<const Graph>(std::move(inner.graph_));
  }

  Result<int32_t> read_reference() {
    if (!scanner_.take("#")) return -1;
    return read_index();
  }

  Result<void> read_dims() {
    do {
      SMELT_TRY(DimSymbol symbol, at_line(read_symbol(scanner_, graph_.symbols)));
      graph_.symbols.push_back(std::move(symbol));
    } while (scanner_.take(","));
    return {};
  }

  Result<void> read_arguments() {
    SMELT_TRY_VOID(expect("("));
    if (scanner_.take(")")) return {};
    do {
      SMELT_TRY_VOID(expect("%"));
      const std::string id(scanner_.word());
      Argument argument{id, ArgRole::Feed, -1, {}};
      if (std::optional<std::string> name = scanner_.quoted()) argument.name = *std::move(name);
      SMELT_TRY_VOID(expect(":"));
      const std::string_view role_name = scanner_.word();
      const auto role =
          parse_role(role_name, {ArgRole::Variable, ArgRole::Column, ArgRole::Rows, ArgRole::Feed, ArgRole::Scalar,
                                 ArgRole::Seed, ArgRole::Run, ArgRole::Carry, ArgRole::Slice, ArgRole::Whole});
      if (!role) return wrong("no argument role `{}`", role_name);
      argument.role = *role;
      SMELT_TRY(TensorType type, read_type(graph_.symbols));
      SMELT_TRY(argument.ref, read_reference());
      if (ids_.contains(id)) return wrong("`%{}` is defined twice", id);
      ids_[id] = {};
      argument_index_[id] = graph_.arguments.size();
      argument_types_.push_back(std::move(type));
      graph_.arguments.push_back(std::move(argument));
      // Without a line of its own its node comes first.
      if (!has_line(id)) SMELT_TRY_VOID(add_argument(id));
    } while (scanner_.take(","));
    return expect(")");
  }

  /// Whether the text has `%id = argument`.
  bool has_line(const std::string& id) const {
    return text_.find(fmt::format("%{} = argument\n", id)) != std::string_view::npos;
  }

  Result<void> add_argument(const std::string& id) {
    const size_t index = argument_index_[id];
    SMELT_TRY(const NodeId node,
              builder_.push(OpKind::Argument, {},
                            {{"index", static_cast<int64_t>(index)}, {"type", argument_types_[index]}}));
    graph_.arguments[index].node = ids_[id] = node;
    return {};
  }

  Result<NodeId> read_operand() {
    SMELT_TRY_VOID(expect("%"));
    const std::string id(scanner_.word());
    const auto found = ids_.find(id);
    if (found == ids_.end() || !found->second.valid()) return wrong("`%{}` is not defined here", id);
    return found->second;
  }

  Result<void> read_node() {
    SMELT_TRY_VOID(expect("%"));
    const std::string id(scanner_.word());
    SMELT_TRY_VOID(expect("="));
    const std::string_view name = scanner_.word();
    const OpDef* def = find_op(name);
    if (def == nullptr) return wrong("no op `{}`", name);
    if (def->kind == Kind::Argument) {
      if (!argument_index_.contains(id)) return wrong("`%{}` is no argument", id);
      if (ids_[id].valid()) return wrong("`%{}` has a node already", id);
      return add_argument(id);
    }
    if (id != fmt::format("{}", graph_.size())) return wrong("`%{}` is node number {}", id, graph_.size());

    std::vector<NodeId> inputs;
    while (inputs.empty() ? scanner_.next().starts_with("%") : scanner_.take(",")) {
      SMELT_TRY(const NodeId input, read_operand());
      inputs.push_back(input);
    }
    SMELT_TRY(Attributes attrs, read_attributes(*def, graph_.symbols));
    SMELT_TRY_VOID(expect(":"));
    SMELT_TRY(const TensorType type, read_type(graph_.symbols));
    for (const AttrDef& attribute : def->attributes) {
      if (attribute.type == AttrType::Type) attrs.set(attribute.name, type);
    }
    const Result<NodeId> node = builder_.push(op_kind(*def), std::move(inputs), std::move(attrs));
    if (!node) return wrong("{}", node.error().message);
    if (graph_.type(*node) != type) {
      return wrong("`{}` gives `{}`, not `{}`", name, to_string(graph_.type(*node), graph_.symbols),
                   to_string(type, graph_.symbols));
    }
    ids_[id] = *node;
    if (scanner_.take("{")) {
      SMELT_TRY(std::shared_ptr<const Graph> body, read_body());
      graph_.nodes.back().body = std::move(body);
    }
    return {};
  }

  Result<void> read_results() {
    do {
      Output output;
      SMELT_TRY(output.node, read_operand());
      SMELT_TRY_VOID(expect("as"));
      const std::string_view role_name = scanner_.word();
      const auto role =
          parse_role(role_name, {ResultRole::Loss, ResultRole::Report, ResultRole::Norm, ResultRole::Variable,
                                 ResultRole::Value, ResultRole::Carry, ResultRole::Stacked, ResultRole::Sum,
                                 ResultRole::Largest, ResultRole::Smallest});
      if (!role) return wrong("no result role `{}`", role_name);
      output.role = *role;
      std::optional<std::string> name = scanner_.quoted();
      if (!name) return unexpected("a quoted name");
      output.name = *std::move(name);
      SMELT_TRY(output.ref, read_reference());
      graph_.results.push_back(std::move(output));
    } while (scanner_.take(","));
    return {};
  }

  static constexpr int kMaxDepth = 64;

  Graph graph_;
  Builder builder_;
  std::string_view text_;
  std::map<std::string, NodeId> ids_;
  std::map<std::string, size_t> argument_index_;
  std::vector<TensorType> argument_types_;
  int depth_ = 0;  // of bodies
};

}  // namespace

Result<Graph> read_graph(TextScanner& scanner, std::string_view text) { return Parser(scanner, text).parse(); }

Result<Graph> parse_graph(std::string_view text) {
  TextScanner scanner(text);
  SMELT_TRY(Graph graph, read_graph(scanner, text));
  if (!scanner.at_end())
    return fail(ErrorKind::Model, fmt::format("line {}: expected the end, got `{}`", scanner.line(), scanner.next()));
  return graph;
}

}  // namespace smelt
