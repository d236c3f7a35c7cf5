// The syntax tree of one file, as a value store: nodes live in the vectors of `Ast` and refer to each other
// by typed id.
//
// The parser makes it and nothing changes it afterwards. Names are not resolved here. Every node has the span
// of its text. `print` writes the tree for `dump --stage ast`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/support/source.h"

namespace smelt::ast {

template <typename Tag>
struct Id {
  uint32_t index = UINT32_MAX;
  bool valid() const { return index != UINT32_MAX; }
  friend auto operator<=>(const Id&, const Id&) = default;
};
using ExprId = Id<struct ExprTag>;
using StmtId = Id<struct StmtTag>;
using TypeId = Id<struct TypeTag>;

/// A name where it is declared.
struct Ident {
  std::string text;
  Span span;
  bool empty() const { return text.empty(); }
};

struct Block {
  std::vector<StmtId> statements;
  Span span;
};

// ---- types ----

/// One axis: `B`, `8*w`, `...`, `...S`.
struct DimItem {
  ExprId extent;  // not valid for `...`
  bool rest = false;
  Ident rest_name;  // empty for a bare `...`
  Span span;
};

/// `f32[B, Pixel]`, `ix<Class>`, `Normal[..., Z]`, `(f32[A], f32[B])`.
struct Type {
  Ident head;       // f32, ix, Normal; empty for a tuple
  Ident index_dim;  // Class of ix<Class>
  std::vector<DimItem> dims;
  bool has_dims = false;
  std::vector<TypeId> tuple;
  Span span;
};

// ---- expressions ----

enum class UnaryOp : uint8_t { Neg, Not };
enum class BinaryOp : uint8_t { Or, And, Eq, Ne, Lt, Le, Gt, Ge, Range, Add, Sub, Mul, Div, Rem, MatMul, Pow };
std::string_view to_string(UnaryOp op);
std::string_view to_string(BinaryOp op);

/// `x`, `name = x`, `...S`.
struct Arg {
  Ident name;  // empty when positional
  ExprId value;
  bool spread = false;  // `...S`: value is a name expression
};

/// `i < n` of an index formula.
struct IndexBinder {
  Ident name;
  ExprId extent;  // not valid when not stated
};

struct NumberExpr {
  double value = 0;
  int64_t integer = 0;
  bool is_integer = false;
};
struct StringExpr {
  std::string value;
};
struct NameExpr {
  std::string name;
};
struct TupleExpr {
  std::vector<ExprId> items;
};
struct ListExpr {
  std::vector<DimItem> items;
};  // `[B, 8*w]`: a shape
struct UnaryExpr {
  UnaryOp op{};
  ExprId operand;
};
struct BinaryExpr {
  BinaryOp op{};
  ExprId lhs, rhs;
  Span op_span;
};
struct CallExpr {
  ExprId callee;
  std::vector<Arg> args;
};  // f(..)
struct AttrExpr {
  ExprId callee;
  std::vector<Arg> args;
};  // L{..}
struct IndexExpr {
  ExprId base;
  std::vector<ExprId> indices;
  bool bounded = false;
};  // x[..], x?[..]
struct MemberExpr {
  ExprId base;
  Ident name;
};  // net.fc1; name may be `*`, `**`, `W*`
struct AsExpr {
  ExprId base;
  std::vector<DimItem> dims;
};
struct PipeExpr {
  ExprId value;
  Ident label;
  ExprId stage;
};  // value |> label: stage
struct RepeatExpr {
  Ident index;
  ExprId count;
  Block body;
};
struct ScanExpr {
  Ident index;
  ExprId count;
  bool reverse = false, by_position = false;
  std::vector<Arg> carries;
  ExprId until;  // not valid: all steps run
  Block body;
};
struct IfExpr {
  ExprId condition;
  Block then_block, else_block;
};
struct ReduceExpr {
  std::string op;
  std::vector<IndexBinder> binders;
  ExprId body;
};  // sum[c < C] ..

struct Expr {
  std::variant<NumberExpr, StringExpr, NameExpr, TupleExpr, ListExpr, UnaryExpr, BinaryExpr, CallExpr, AttrExpr,
               IndexExpr, MemberExpr, AsExpr, PipeExpr, RepeatExpr, ScanExpr, IfExpr, ReduceExpr>
      node;
  Span span;
};

// ---- statements ----

/// One name of a `param` or `state` line with its start value: `= e` or `~ e`.
struct Declarator {
  std::vector<Ident> names;
  TypeId type;  // not valid when left out (states of optimisers)
  bool random = false;
  ExprId init;
  ExprId condition;  // `if e`, may be missing
};
struct DimDecl {
  Ident name;
  bool runtime = false;
  ExprId extent;
};

struct ParamStmt {
  Declarator decl;
};
struct StateStmt {
  std::vector<Declarator> decls;
};
struct DimStmt {
  std::vector<DimDecl> dims;
};
struct AssertStmt {
  ExprId condition;
  ExprId message;
  std::vector<ExprId> shown = {};  // what stands in each pair of braces of the message; not valid: it is text
};
struct ReportStmt {
  std::vector<Arg> items;
};
struct AssignStmt {
  std::vector<Ident> targets;
  bool tuple = false;
  std::vector<IndexBinder> binders;
  bool formula = false;
  ExprId value;
};
struct DrawStmt {
  Ident target;
  ExprId distribution;
  ExprId over;
};
struct WriteStmt {
  Ident target;
  ExprId value;
  ExprId when;
};
struct YieldStmt {
  ExprId value;
};
struct ExprStmt {
  ExprId value;
};

struct Stmt {
  std::variant<ParamStmt, StateStmt, DimStmt, AssertStmt, ReportStmt, AssignStmt, DrawStmt, WriteStmt, YieldStmt,
               ExprStmt>
      node;
  Span span;
};

// ---- declarations ----

/// `x: f32[B, X] ~ Normal(0, 1)`, `slope = 0.01`, `a`.
struct Param {
  Ident name;
  TypeId type;
  ExprId default_value;
  ExprId distribution;  // exports only
};

/// The body of a fn, metric, export, objective, layer, optimiser: one expression or a block.
struct Body {
  ExprId expr;  // not valid: `block` counts
  Block block;
};

struct ImportDecl {
  std::vector<Ident> module;
  std::vector<Ident> names;
  Span span;
};
struct ConfigDecl {
  Ident name;
  ExprId value;
};
struct ConstDecl {
  Ident name;
  TypeId type;
  bool random = false;
  ExprId value;
};
struct FieldDecl {
  Ident name;
  std::vector<Ident> others;  // `train, valid = .. |> split(0.9)`: the splits behind the first
  TypeId type;
  ExprId range;
  ExprId value;
};  // a split when it has no type
struct DataDecl {
  Ident name;
  std::vector<FieldDecl> entries;
  Span span;
};
struct LayerDecl {
  Ident name;
  std::vector<Param> attributes;
  std::vector<Param> params;
  TypeId result;
  std::vector<Arg> options;
  Block body;
  Span span;
};
struct ModelDecl {
  Ident name;
  ExprId layer;
  ExprId from;  // a string, where there is one
};
enum class FnKind : uint8_t { Fn, Metric, Export };
/// `vjp(y, ct) = ..` after the body of a fn: the cotangent of each parameter from the one of the result.
struct VjpClause {
  Ident result, cotangent;
  Body body;
  Span span;
};
struct FnDecl {
  FnKind kind{};
  Ident name;
  std::vector<Param> params;
  TypeId result;
  Body body;
  std::optional<VjpClause> vjp;
  Span span;
};
struct OptimiserDecl {
  Ident name;
  std::vector<Param> params;
  Ident param, gradient, update;
  Block body;
  Span span;
};
struct ObjectiveDecl {
  Ident name;
  std::vector<Param> params;
  std::vector<ExprId> updates;
  Block body;
  Span span;
};

// ---- train ----

struct EvalAction {
  Ident split;
  std::vector<Ident> names;
};
/// `image grid(x, 8) to "x.png"`, `text write(x) to "x.txt"`, `audio say(x) at 8000 to "x.wav"`
enum class OutputKind : uint8_t { Image, Text, Audio };
struct OutputAction {
  OutputKind kind = OutputKind::Image;
  ExprId value;
  ExprId rate;  // of a sound, where the line says it
  ExprId path;
};
struct CheckpointAction {
  ExprId keep;
  Ident best_direction, best_metric;
};
struct Action {
  std::variant<EvalAction, OutputAction, CheckpointAction> node;
  Span span;
};
struct LoopEntry {
  ExprId times;
  Ident objective;
};
struct LoopGroup {
  bool together = false;
  std::vector<LoopEntry> entries;
  Span span;
};

struct DataItem {
  Ident name;
};
struct BatchItem {
  Ident dim;
  ExprId size;
  bool shuffle = false;
  ExprId bucket = {};  // of rows of like length, in batches
};
struct NumberItem {
  Ident what;
  ExprId value;
};  // epochs, steps, seed
struct PrecisionItem {
  Ident dtype;
};
struct StepGroup {
  ExprId optimiser;
  ExprId selector;
};  // `, adam(lr = 1e-4) for net.head`
struct StepItem {
  Ident objective;
  ExprId optimiser;
  std::vector<StepGroup> groups;  // of parameters that have an optimiser of their own
};
struct LoopItem {
  std::vector<LoopGroup> groups;
  bool one_batch = false;  // for all of an iteration
};
struct EmaItem {
  Ident name;
  ExprId model;
  ExprId decay;
};
struct EveryItem {
  ExprId count;
  Ident unit;
  std::vector<Action> actions;
};
/// `stop when nan(loss)`, or `stop when no better(min loss, 5)`, which has a metric.
struct StopItem {
  ExprId condition;
  Ident best_direction, best_metric;
  ExprId evaluations;
};
/// `slow loss by 0.5 when no better(min loss, 5)`
struct SlowItem {
  Ident objective;
  ExprId factor;
  Ident best_direction, best_metric;
  ExprId evaluations;
};
struct TrainItem {
  std::variant<DataItem, BatchItem, NumberItem, PrecisionItem, StepItem, LoopItem, EmaItem, EveryItem, StopItem,
               SlowItem>
      node;
  Span span;
};
struct TrainDecl {
  Ident name;
  std::vector<TrainItem> items;
  Span span;
};

struct Ast {
  std::vector<Expr> exprs;
  std::vector<Stmt> stmts;
  std::vector<Type> types;

  std::vector<ImportDecl> imports;
  std::vector<DimDecl> dims;
  std::vector<ConfigDecl> configs;
  std::vector<ConstDecl> consts;
  std::vector<DataDecl> data;
  std::vector<LayerDecl> layers;
  std::vector<ModelDecl> models;
  std::vector<FnDecl> fns;  // fn, metric, export
  std::vector<OptimiserDecl> optimisers;
  std::vector<ObjectiveDecl> objectives;
  std::vector<TrainDecl> trains;

  const Expr& operator[](ExprId id) const { return exprs[id.index]; }
  const Stmt& operator[](StmtId id) const { return stmts[id.index]; }
  const Type& operator[](TypeId id) const { return types[id.index]; }

  template <typename T>
  const T* as(ExprId id) const {
    return id.valid() ? std::get_if<T>(&exprs[id.index].node) : nullptr;
  }
  template <typename T>
  const T* as(StmtId id) const {
    return std::get_if<T>(&stmts[id.index].node);
  }
};

/// One declaration a line, nested expressions in full parentheses.
std::string print(const Ast& ast);
std::string print(const Ast& ast, ExprId expr);
std::string print(const Ast& ast, TypeId type);

}  // namespace smelt::ast
