// The op record: everything the compiler knows of one operator. Parser, printer, verifier, evaluator, autodiff, code
// generation, documentation and tests read these records; nothing else knows ops by name.
#pragma once

#include <array>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

#include "ir/graph.h"
#include "ir/scalar_builder.h"
#include "ir/support/result.h"

namespace smelt {

class Builder;     // builder.h
class Vjp;         // ops/vjp_rules.h
struct RefTensor;  // evaluator.h

/// Iteration kinds: the cases that fusion and code generation know.
enum class Kind : uint8_t {
  Argument,     // a value from outside
  Constant,     // one value everywhere
  Index,        // the position along one axis
  Extent,       // the actual size of a run-time dimension, a scalar
  Elementwise,  // out[i] = body(a[i], b[i], ...), operands of the result's shape
  Reduce,       // out[kept] = fold of a[kept, reduced] with body(accumulator, element) from `identity`
  Contract,     // an index formula, sums of products
  Move,         // out[i] = a[access(i)], or `outside` of the node where a has no such element
  Gather,       // out[i.., r] = table[index[i..], r], or so for each element of a batch
  Scatter,      // out[n, r] = sum of rows[i.., r] where index[i..] == n; or the last of them, else to[n, r]; likewise
  Random,       // counter-based draw; body(word of the pair's even half, of its odd half, is_odd)
  Scan,         // a loop over steps, whose body is a graph
  Part,         // one result of a scan
  Composite,    // expand() replaces it
  Meta          // removed before lowering (`grad`)
};

struct Traits {
  bool commutative = false;
  bool associative = false;
  bool cheap = true;        // recomputing beats storing: a few cycles an element
  bool comparison = false;  // result is bool
  bool logical = false;     // operands are bool
  bool float_only = false;  // operands must be f16, bf16, f32 or f64
  bool repeats = false;     // the operands may be given several times over
  bool overwrites = false;  // of a scatter: has an operand `to`, whose rows it replaces
  bool stays_f32 = false;   // of softmax, likelihoods and norms: rounding the result to a half loses what it is for
};

struct AttrDef {
  std::string_view name;
  AttrType type = AttrType::Int;
  std::string_view doc;
};

/// Fixed-capacity lists, because records are constexpr.
template <typename T, size_t N>
struct FixedList {
  std::array<T, N> items{};
  size_t count = 0;
  constexpr FixedList() = default;
  constexpr FixedList(std::initializer_list<T> list) {
    for (const T& item : list) items[count++] = item;
  }
  constexpr const T* begin() const { return items.data(); }
  constexpr const T* end() const { return items.data() + count; }
  constexpr size_t size() const { return count; }
  constexpr const T& operator[](size_t i) const { return items[i]; }
};

struct OpDef;
struct InferArgs {
  const OpDef& op;
  std::span<const TensorType> operands;
  const Attributes& attrs;
  const std::vector<DimSymbol>& symbols;  // names run-time extents in messages
};
using InferFn = Result<TensorType> (*)(const InferArgs&);

/// Cotangents: calls v.add(operand, ct) for each operand that v.needs(operand).
using VjpFn = void (*)(Vjp&);

/// Reference meaning in double. Elementwise and reduce ops work on scalars (a reduce folds [accumulator, element]);
/// the others fill a tensor.
using ScalarReferenceFn = double (*)(std::span<const double>);
struct TensorReferenceArgs {
  const Node& node;
  std::span<const RefTensor* const> operands;
  RefTensor& result;  // type set, values zero
};
using TensorReferenceFn = void (*)(const TensorReferenceArgs&);

using BodyFn = Scalar (*)(ScalarBuilder&, Scalars, const Attributes&);
using ExpandFn = NodeId (*)(Builder&, std::span<const NodeId>, const Attributes&);

/// How a Move op reads its operand, by the indices of its result; nullopt: the same row-major element number, which is
/// how a reshape reads.
using AccessFn = std::optional<IndexMap> (*)(const TensorType& operand, const TensorType& result, const Attributes&);

/// Where tests draw operands from, away from kinks and poles.
struct Samples {
  double low = -2.0;
  double high = 2.0;
  double away_from_zero = 0.0;  // |x| at least this
  bool differentiable = true;   // false: vjp is zero almost everywhere, or the operands are not floats
};

/// How the language calls an op by its name. Functions with other parameters are in frontend/intrinsics.cpp.
enum class Applied : uint8_t {
  No,
  ByElement,  // f(x), of a number too: then the reference computes it
  OverAxes,   // f(x, over=) without the axes; over all of them when none is named
  AlongAxes,  // f(x, over=) with all axes
  OfAxis      // f(x, over): labels of the one axis that is named, which goes
};

/// Bounds of all elements of a result, whatever the operands are.
struct ResultRange {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  constexpr bool known() const {
    return low > -std::numeric_limits<double>::infinity() || high < std::numeric_limits<double>::infinity();
  }
};
inline constexpr double kUnbounded = std::numeric_limits<double>::infinity();

struct OpDef {
  std::string_view name;
  std::string_view doc;
  Kind kind = Kind::Elementwise;
  FixedList<std::string_view, 4> operands{};
  FixedList<AttrDef, 5> attributes{};
  Traits traits{};
  InferFn infer = nullptr;
  VjpFn vjp = nullptr;
  ScalarReferenceFn reference = nullptr;
  TensorReferenceFn tensor_reference = nullptr;
  BodyFn body = nullptr;
  double identity = 0.0;      // Reduce
  AccessFn access = nullptr;  // Move
  ExpandFn expand = nullptr;  // Composite
  Applied applied = Applied::No;
  ResultRange range{};
  Samples samples{};
  std::string_view source{};
};

/// A record is a complete primitive, a complete composite, or one of the kinds that need neither.
constexpr bool is_complete(const OpDef& op) {
  if (op.name.empty() || op.doc.empty() || op.infer == nullptr) return false;
  switch (op.kind) {
    case Kind::Argument:
    case Kind::Constant:
    case Kind::Index:
    case Kind::Extent:
    case Kind::Scan:
    case Kind::Part:
    case Kind::Meta: return true;
    case Kind::Composite: return op.expand != nullptr && (op.applied != Applied::ByElement || op.reference != nullptr);
    case Kind::Elementwise:
    case Kind::Reduce: return op.vjp != nullptr && op.reference != nullptr && op.body != nullptr;
    case Kind::Random: return op.vjp != nullptr && op.tensor_reference != nullptr && op.body != nullptr;
    case Kind::Move: return op.vjp != nullptr && op.tensor_reference != nullptr && op.access != nullptr;
    case Kind::Contract:
    case Kind::Gather:
    case Kind::Scatter: return op.vjp != nullptr && op.tensor_reference != nullptr;
  }
  return false;
}

/// The name of operand k; of one given again, that of the first.
constexpr std::string_view operand_name(const OpDef& op, size_t k) { return op.operands[k % op.operands.size()]; }
/// Whether the op can have so many operands.
constexpr bool takes(const OpDef& op, size_t num_operands) {
  if (!op.traits.repeats) return num_operands == op.operands.size();
  return num_operands > 0 && num_operands % op.operands.size() == 0;
}

const OpDef& op_def(OpKind op);
inline const OpDef& op_def(const Node& node) { return op_def(node.op); }
/// Whether a Move may read outside of its operand, where it has a number of its own.
bool reads_outside(const Graph& graph, const Node& node);
std::span<const OpDef> all_ops();
const OpDef* find_op(std::string_view name);
OpKind op_kind(const OpDef& def);

}  // namespace smelt
