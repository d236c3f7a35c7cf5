// Writes a syntax tree as text that parses to the same tree: operators in full parentheses, one declaration a
// line.
#include <fmt/format.h>

#include "frontend/ast.h"
#include "frontend/ast_walk.h"

namespace smelt::ast {

std::string_view to_string(UnaryOp op) { return op == UnaryOp::Neg ? "-" : "not "; }

std::string_view to_string(BinaryOp op) {
  constexpr std::string_view kTexts[] = {
      "or", "and", "==", "!=", "<", "<=", ">", ">=", "..", "+", "-", "*", "/", "%", "@", "^"};
  return kTexts[static_cast<size_t>(op)];
}

namespace {

class Printer {
 public:
  explicit Printer(const Ast& ast) : ast_(ast) {}

  std::string expr(ExprId id) const {
    if (!id.valid()) return "<missing>";
    return std::visit([&](const auto& e) { return text(e); }, ast_[id].node);
  }

  std::string type(TypeId id) const {
    if (!id.valid()) return "<missing>";
    const Type& t = ast_[id];
    if (t.head.empty()) return list("(", t.tuple, ")", [&](TypeId part) { return type(part); });
    const std::string index = t.index_dim.empty() ? "" : "<" + t.index_dim.text + ">";
    return t.head.text + index + (t.has_dims ? dims(t.dims) : "");
  }

  std::string file() {
    for (const ImportDecl& d : ast_.imports) {
      std::string module;
      for (const Ident& part : d.module) module += (module.empty() ? "" : ".") + part.text;
      line(fmt::format("import {} {}", module, list("(", d.names, ")", [](const Ident& n) { return n.text; })));
    }
    for (const DimDecl& d : ast_.dims) line("dim " + dim_decl(d));
    for (const ConfigDecl& d : ast_.configs) line(fmt::format("config {} = {}", d.name.text, expr(d.value)));
    for (const ConstDecl& d : ast_.consts) {
      line(fmt::format("const {}{} {} {}", d.name.text, d.type.valid() ? ": " + type(d.type) : "", d.random ? "~" : "=",
                       expr(d.value)));
    }
    for (const DataDecl& d : ast_.data) data(d);
    for (const LayerDecl& d : ast_.layers) layer(d);
    for (const ModelDecl& d : ast_.models)
      line(fmt::format("model {} = {}{}", d.name.text, expr(d.layer), d.from.valid() ? " from " + expr(d.from) : ""));
    for (const FnDecl& d : ast_.fns) function(d);
    for (const OptimiserDecl& d : ast_.optimisers) {
      open(fmt::format("optimiser {}{} for ({}, {}, {})", d.name.text, params("(", d.params, ")"), d.param.text,
                       d.gradient.text, d.update.text));
      close(d.body);
    }
    for (const ObjectiveDecl& d : ast_.objectives) {
      open(fmt::format("objective {}{} updates {}", d.name.text, params("(", d.params, ")"),
                       list("", d.updates, "", [&](ExprId e) { return expr(e); })));
      close(d.body);
    }
    for (const TrainDecl& d : ast_.trains) train(d);
    return std::move(out_);
  }

 private:
  template <typename Items, typename F>
  static std::string list(std::string_view open, const Items& items, std::string_view close, F f) {
    std::string out(open);
    for (size_t i = 0; i < items.size(); ++i) out += (i == 0 ? "" : ", ") + f(items[i]);
    return out.append(close);
  }

  std::string dims(const std::vector<DimItem>& items) const {
    return list("[", items, "]", [&](const DimItem& d) { return d.rest ? "..." + d.rest_name.text : expr(d.extent); });
  }
  std::string args(std::string_view open, const std::vector<Arg>& items, std::string_view close) const {
    return list(open, items, close, [&](const Arg& a) {
      return (a.name.empty() ? "" : a.name.text + " = ") + (a.spread ? "..." : "") + expr(a.value);
    });
  }
  std::string params(std::string_view open, const std::vector<Param>& items, std::string_view close) const {
    return list(open, items, close, [&](const Param& p) {
      std::string out = p.name.text;
      if (p.type.valid()) out += ": " + type(p.type);
      if (p.default_value.valid()) out += " = " + expr(p.default_value);
      if (p.distribution.valid()) out += " ~ " + expr(p.distribution);
      return out;
    });
  }
  std::string binders(const std::vector<IndexBinder>& items) const {
    return list("[", items, "]",
                [&](const IndexBinder& b) { return b.name.text + (b.extent.valid() ? " < " + expr(b.extent) : ""); });
  }
  std::string dim_decl(const DimDecl& d) const {
    return fmt::format("{} {} {}", d.name.text, d.runtime ? "<=" : "=", expr(d.extent));
  }
  std::string declarator(const Declarator& d) const {
    std::string out = list("", d.names, "", [](const Ident& n) { return n.text; });
    if (d.type.valid()) out += ": " + type(d.type);
    out += (d.random ? " ~ " : " = ") + expr(d.init);
    return d.condition.valid() ? out + " if " + expr(d.condition) : out;
  }
  std::string inline_block(const Block& block) const {
    std::string out = "{ ";
    for (const StmtId id : block.statements) out += statement(id) + "; ";
    return out + "}";
  }

  std::string text(const NumberExpr& e) const { return e.is_integer ? std::to_string(e.integer) : number(e.value); }
  static std::string number(double value) {
    std::string out = fmt::format("{}", value);
    return out.find_first_of(".en") == std::string::npos ? out + ".0" : out;
  }
  std::string text(const StringExpr& e) const {
    std::string out = "\"";
    for (const char c : e.value) {
      if (c == '"' || c == '\\') out += '\\';
      if (c == '\n')
        out += "\\n";
      else if (c == '\t')
        out += "\\t";
      else
        out += c;
    }
    return out + "\"";
  }
  std::string text(const NameExpr& e) const { return e.name; }
  std::string text(const TupleExpr& e) const {
    return list("(", e.items, e.items.size() == 1 ? ",)" : ")", [&](ExprId item) { return expr_or_rest(item); });
  }
  /// `...S` inside parentheses or an index is a list without brackets of its own.
  std::string expr_or_rest(ExprId id) const {
    const auto* rest = ast_.as<ListExpr>(id);
    const bool bare =
        rest != nullptr && rest->items.size() == 1 && rest->items[0].rest && ast_[id].span == rest->items[0].span;
    return bare ? "..." + rest->items[0].rest_name.text : expr(id);
  }
  std::string text(const ListExpr& e) const { return dims(e.items); }
  std::string text(const UnaryExpr& e) const { return fmt::format("({}{})", to_string(e.op), expr(e.operand)); }
  std::string text(const BinaryExpr& e) const {
    if (e.lhs.valid() && e.rhs.valid()) return fmt::format("({} {} {})", expr(e.lhs), to_string(e.op), expr(e.rhs));
    // `x[1 ..]`: without an end it is a range between brackets and commas alone.
    const auto end = [&](ExprId id) { return id.valid() ? expr(id) : std::string(); };
    return fmt::format("{} {} {}", end(e.lhs), to_string(e.op), end(e.rhs));
  }
  std::string text(const CallExpr& e) const { return expr(e.callee) + args("(", e.args, ")"); }
  std::string text(const AttrExpr& e) const { return expr(e.callee) + args("{", e.args, "}"); }
  std::string text(const IndexExpr& e) const {
    return expr(e.base) + list(e.bounded ? "?[" : "[", e.indices, "]", [&](ExprId i) { return expr_or_rest(i); });
  }
  std::string text(const MemberExpr& e) const { return expr(e.base) + "." + e.name.text; }
  std::string text(const AsExpr& e) const { return expr(e.base) + " as " + dims(e.dims); }
  std::string text(const PipeExpr& e) const {
    return fmt::format("({} |> {}{})", expr(e.value), e.label.empty() ? "" : e.label.text + ": ", expr(e.stage));
  }
  std::string text(const RepeatExpr& e) const {
    return fmt::format("repeat {} < {} {}", e.index.text, expr(e.count), inline_block(e.body));
  }
  std::string text(const ScanExpr& e) const {
    const char* order = e.reverse ? " reverse" : e.by_position ? " by position" : "";
    const std::string until = e.until.valid() ? " until " + expr(e.until) : "";
    return fmt::format("scan {} < {}{} with {}{} {}", e.index.text, expr(e.count), order, args("", e.carries, ""),
                       until, inline_block(e.body));
  }
  std::string text(const IfExpr& e) const {
    return fmt::format("if {} {} else {}", expr(e.condition), inline_block(e.then_block), inline_block(e.else_block));
  }
  std::string text(const ReduceExpr& e) const {
    return fmt::format("({}{} {})", e.op, binders(e.binders), expr(e.body));
  }

  std::string statement(StmtId id) const {
    return std::visit(
        Overloaded{
            [&](const ParamStmt& s) { return "param " + declarator(s.decl); },
            [&](const StateStmt& s) {
              return "state " + list("", s.decls, "", [&](const Declarator& d) { return declarator(d); });
            },
            [&](const DimStmt& s) {
              return "dim " + list("", s.dims, "", [&](const DimDecl& d) { return dim_decl(d); });
            },
            [&](const AssertStmt& s) { return fmt::format("assert {}, {}", expr(s.condition), expr(s.message)); },
            [&](const ReportStmt& s) { return "report " + args("", s.items, ""); },
            [&](const AssignStmt& s) {
              const auto name = [](const Ident& n) { return n.text; };
              const std::string target = s.tuple ? list("(", s.targets, ")", name) : list("", s.targets, "", name);
              return fmt::format("{}{} = {}", target, s.formula ? binders(s.binders) : "", expr(s.value));
            },
            [&](const DrawStmt& s) {
              return fmt::format("{} ~ {}{}", s.target.text, expr(s.distribution),
                                 s.over.valid() ? " over " + expr(s.over) : "");
            },
            [&](const WriteStmt& s) {
              return fmt::format("{} <- {}{}", s.target.text, expr(s.value),
                                 s.when.valid() ? " when " + expr(s.when) : "");
            },
            [&](const YieldStmt& s) { return "yield " + expr(s.value); },
            [&](const ExprStmt& s) { return expr(s.value); },
        },
        ast_[id].node);
  }

  void line(const std::string& text) { out_ += std::string(static_cast<size_t>(indent_) * 2, ' ') + text + "\n"; }
  void open(const std::string& text) {
    line(text + " {");
    ++indent_;
  }
  void close(const Block& body) {
    for (const StmtId id : body.statements) line(statement(id));
    close();
  }
  void close(std::string_view after = "") {
    --indent_;
    line(fmt::format("}}{}", after));
  }

  void data(const DataDecl& d) {
    open("data " + d.name.text);
    for (const FieldDecl& f : d.entries) {
      std::string names = f.name.text;
      for (const Ident& other : f.others) names += ", " + other.text;
      line(fmt::format("{}{}{} = {}", names, f.type.valid() ? ": " + type(f.type) : "",
                       f.range.valid() ? " in " + expr(f.range) : "", expr(f.value)));
    }
    close();
  }

  void layer(const LayerDecl& d) {
    open(fmt::format("layer {}{}{} -> {}{}", d.name.text, d.attributes.empty() ? "" : params("{", d.attributes, "}"),
                     params("(", d.params, ")"), type(d.result),
                     d.options.empty() ? "" : " with " + args("{", d.options, "}")));
    close(d.body);
  }

  void function(const FnDecl& d) {
    constexpr std::string_view kWords[] = {"fn", "metric", "export"};
    const std::string head = fmt::format("{} {}{}{}", kWords[static_cast<size_t>(d.kind)], d.name.text,
                                         params("(", d.params, ")"), d.result.valid() ? " -> " + type(d.result) : "");
    body(head, d.body);
    if (d.vjp) body(fmt::format("vjp({}, {})", d.vjp->result.text, d.vjp->cotangent.text), d.vjp->body);
  }

  void body(const std::string& head, const Body& b) {
    if (b.expr.valid()) return line(head + " = " + expr(b.expr));
    open(head);
    close(b.block);
  }

  void train(const TrainDecl& d) {
    open(d.name.empty() ? "train" : "train " + d.name.text);
    for (const TrainItem& item : d.items) std::visit([&](const auto& i) { train_item(i); }, item.node);
    close();
  }
  void train_item(const DataItem& i) { line("data " + i.name.text); }
  void train_item(const BatchItem& i) {
    line(fmt::format("batch {} = {}{}{}", i.dim.text, expr(i.size), i.shuffle ? ", shuffle" : "",
                     i.bucket.valid() ? fmt::format(", bucket = {}", expr(i.bucket)) : ""));
  }
  void train_item(const NumberItem& i) { line(fmt::format("{} {}", i.what.text, expr(i.value))); }
  void train_item(const PrecisionItem& i) { line("precision " + i.dtype.text); }
  void train_item(const StepItem& i) {
    std::string text = fmt::format("step {} with {}", i.objective.text, expr(i.optimiser));
    for (const StepGroup& group : i.groups)
      text += fmt::format(", {} for {}", expr(group.optimiser), expr(group.selector));
    line(text);
  }
  void train_item(const LoopItem& i) {
    open("loop");
    for (const LoopGroup& group : i.groups) {
      std::string entries;
      for (const LoopEntry& e : group.entries) {
        entries += (entries.empty() ? "" : "; ") + (e.times.valid() ? expr(e.times) + " * " : "") + e.objective.text;
      }
      line(group.together ? fmt::format("together {{ {} }}", entries) : entries);
    }
    close(i.one_batch ? " on one batch" : "");
  }
  void train_item(const EmaItem& i) {
    line(fmt::format("ema {} = {} decay {}", i.name.text, expr(i.model), expr(i.decay)));
  }
  void train_item(const StopItem& i) {
    if (i.best_metric.empty()) return line("stop when " + expr(i.condition));
    line(fmt::format("stop when no better({} {}, {})", i.best_direction.text, i.best_metric.text, expr(i.evaluations)));
  }
  void train_item(const SlowItem& i) {
    line(fmt::format("slow {} by {} when no better({} {}, {})", i.objective.text, expr(i.factor), i.best_direction.text,
                     i.best_metric.text, expr(i.evaluations)));
  }
  void train_item(const EveryItem& i) {
    open(fmt::format("every {} {}", expr(i.count), i.unit.text));
    for (const Action& action : i.actions) std::visit([&](const auto& a) { line(action_text(a)); }, action.node);
    close();
  }
  std::string action_text(const EvalAction& a) const {
    return fmt::format("eval {}: {}", a.split.text, list("", a.names, "", [](const Ident& n) { return n.text; }));
  }
  std::string action_text(const OutputAction& a) const {
    constexpr std::string_view kWords[] = {"image", "text", "audio"};
    return fmt::format("{} {}{} to {}", kWords[static_cast<size_t>(a.kind)], expr(a.value),
                       a.rate.valid() ? " at " + expr(a.rate) : "", expr(a.path));
  }
  std::string action_text(const CheckpointAction& a) const {
    if (!a.best_metric.empty())
      return fmt::format("checkpoint keep best({} {})", a.best_direction.text, a.best_metric.text);
    return a.keep.valid() ? "checkpoint keep " + expr(a.keep) : "checkpoint";
  }

  const Ast& ast_;
  std::string out_;
  int indent_ = 0;
};

}  // namespace

std::string print(const Ast& ast) { return Printer(ast).file(); }
std::string print(const Ast& ast, ExprId expr) { return Printer(ast).expr(expr); }
std::string print(const Ast& ast, TypeId type) { return Printer(ast).type(type); }

}  // namespace smelt::ast
