// What an expression of a model file can be while it is compiled: numbers, dims, tensors with named axes,
// layers, functions, distributions. Only tensors (and the dims known at run time) leave a trace in the graph.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "frontend/ast.h"
#include "ir/graph.h"
#include "ir/support/diagnostics.h"

namespace smelt::frontend {

/// A dim is nominal: two of equal size are different. Ids are those of Shapes.
using DimId = int32_t;
constexpr DimId kAnonymous = -1;

struct Dim {
  std::string name;
  Extent extent;
  Span span;
  bool runtime = false;  // declared with `<=`: a head binds it anew for each call
  bool of_file = false;  // declared at the top of a file: it means the same everywhere
};

struct Axis {
  DimId dim = kAnonymous;
  Extent extent;
  friend bool operator==(const Axis&, const Axis&) = default;
};
using Axes = std::vector<Axis>;

inline Shape shape_of(const Axes& axes) {
  Shape shape;
  for (const Axis& axis : axes) shape.push_back(axis.extent);
  return shape;
}

struct Range {
  double low = 0, high = 1;
};

/// Columns of data come in these; they become floats on entering arithmetic.
inline bool is_small_int(DType dtype) { return dtype == DType::U8 || dtype == DType::I8 || dtype == DType::I16; }

/// A value of the graph that is being built. `weak`: an f64 scalar made of run-time scalars only, which takes
/// the type of the tensor it meets.
struct Tensor {
  NodeId node;
  uint32_t graph = 0;  // which graph `node` is in
  DType dtype = DType::F32;
  Axes axes;
  bool weak = false;
  DimId label = kAnonymous;    // values are positions along this dim: ix<Class>
  std::optional<Range> range;  // known bounds of all elements
  int32_t column = -1;         // read unchanged from this column of the data
  bool grid = false;           // made of `index` alone: coordinates, which stretch along any other axes
};

struct FileScope;
struct LayerInstance;
struct Intrinsic;
struct Value;

struct DimValue {
  DimId id = kAnonymous;
};
struct ShapeValue {
  Axes axes;
};  // `[B, 8*w]`, and `...S`
struct TupleValue {
  std::vector<Value> items;
};
struct FnValue {
  const FileScope* scope = nullptr;
  const ast::FnDecl* decl = nullptr;
};
struct IntrinsicValue {
  const Intrinsic* intrinsic = nullptr;
};
struct LayerValue {
  LayerInstance* instance = nullptr;
  const std::map<int32_t, int32_t>* averages = nullptr;  // of an average: by parameter, the variable in its place
};
struct Selector {
  std::string text;
  std::vector<int32_t> variables;
  bool exact = false;
};  // net.**.W
struct DTypeValue {
  DType dtype{};
};
struct NoneValue {};  // the default of an option that is left out

enum class DistKind : uint8_t {
  Normal,
  Bernoulli,
  Uniform,
  Laplace,
  LogNormal,
  Categorical,
  UniformInt,
  TruncatedNormal,
  Mixture,
  MultivariateNormal,
  Orthogonal  // start values of a matrix
};

/// What a distribution is called, how it is made and what a draw is made of.
struct DistributionRecord {
  DistKind kind;
  std::string_view name;
  std::string_view params;  // like those of an intrinsic; where two are optional, exactly one is given
  std::string_view prefix;  // of the functions in std/dist.smelt
  OpKind noise;
  std::string_view doc;                     // the density, and where it is from
  std::string_view misuse = {}, help = {};  // said when not exactly one of the last two is given
  bool closed_kl = true;                    // between two of the kind
};
std::span<const DistributionRecord> all_distributions();
const DistributionRecord* find_distribution(std::string_view name);

/// `params` in the order of the record; of a Categorical and of a mixture the logits and a shape of one axis, that of
/// the classes or components; of a MultivariateNormal the mean, the triangle, and the dims of its rows and columns.
struct Distribution {
  const DistributionRecord* record = nullptr;
  DistKind kind() const { return record->kind; }
  bool by_logvar = false;  // Normal: the second parameter is logvar instead of std
  std::vector<Value> params;
  std::optional<Axes> shape;        // `[B, Z]` after it
  std::vector<Distribution> parts;  // of a mixture one: its components, along the axis
};

/// std::monostate is the value of an expression that had an error: operations on it stay silent.
struct Value
    : std::variant<std::monostate, int64_t, double, bool, std::string, DimValue, ShapeValue, TupleValue, Tensor,
                   FnValue, IntrinsicValue, LayerValue, Selector, DTypeValue, NoneValue, Distribution> {
  using variant::variant;
  template <typename T>
  const T* as() const {
    return std::get_if<T>(static_cast<const variant*>(this));
  }
  template <typename T>
  T* as() {
    return std::get_if<T>(static_cast<variant*>(this));
  }
  bool bad() const { return as<std::monostate>() != nullptr; }
};

struct OpenScan;

/// A name in a body. A variable's current value is looked up in the function that is being built.
struct Binding {
  Value value;
  Span span;
  int32_t variable = -1;
  bool writable = false;           // by `<-`
  const OpenScan* scan = nullptr;  // whose carry it is
};

struct ArgValue {
  std::string name;
  Value value;
  Span span;
};

/// One occurrence of `Layer{..}` under one parent: it owns parameters and states, and the layers inside its
/// body.
struct LayerInstance {
  const ast::LayerDecl* decl = nullptr;
  const FileScope* scope = nullptr;
  std::vector<std::pair<std::string, Value>> attributes;
  std::string path;       // net.fc1
  std::string site_name;  // fc1, without the indices of repeats
  Span span;

  struct Bound {
    Axis axis;
    Span span;
  };
  std::map<std::string, Bound> first_call;  // what the head's names were bound to
  Span call_span;                           // of the latest application
  std::map<std::string, int32_t> variables;
  std::map<std::pair<uint32_t, std::vector<int64_t>>, std::unique_ptr<LayerInstance>> children;
  std::map<uint32_t, int> ordinals;  // occurrence -> its number among those of its type in the body
};

using Args = std::vector<ArgValue>;

/// A declaration found by name.
using Decl = std::variant<std::monostate, const ast::DimDecl*, const ast::ConfigDecl*, const ast::ConstDecl*,
                          const ast::LayerDecl*, const ast::ModelDecl*, const ast::FnDecl*, const ast::OptimiserDecl*,
                          const ast::EmaItem*>;

/// The names of one file.
struct FileScope {
  ast::Ast ast;
  uint32_t file = 0;
  bool library = false;
  std::string name;  // nn
  size_t train = 0;  // the train section at hand, among those of the file
  std::map<std::string, Decl, std::less<>> names;
};

/// The one at hand; null when the file has none.
inline const ast::TrainDecl* train_section(const FileScope& file) {
  return file.ast.trains.empty() ? nullptr : &file.ast.trains[file.train];
}

/// Reports a part of the language that is planned.
Value unsupported(Diagnostics& diagnostics, Span span, std::string_view what, std::string_view help = {});

}  // namespace smelt::frontend
