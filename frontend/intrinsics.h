// The functions that the compiler provides: name, parameters, meaning.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "frontend/graph_writer.h"

namespace smelt::frontend {

class Calls;
class DataSection;
class Derivatives;
class Distributions;

/// What these functions use.
struct Provided {
  const Scopes& scopes;
  Shapes& shapes;
  GraphWriter& graph;
  Calls& calls;
  Distributions& distributions;
  Derivatives& derivatives;
  DataSection& data;
  Diagnostics& diagnostics;
};

struct Call;

/// Ops that the language has by name and distributions are views of their tables; the rest is in intrinsics.cpp.
struct Intrinsic {
  std::string_view name = {};
  std::string_view params = {};  // `x, over=`: optional ones end in `=`
  std::string_view doc = {};
  Value (*evaluate)(Call&) = nullptr;
  const OpDef* op = nullptr;                         // that it applies
  const DistributionRecord* distribution = nullptr;  // that it makes
  bool in_fields_only = false;                       // stands in the fields of a data section
};

/// One call: arguments by parameter.
struct Call {
  const Provided& use;
  const Intrinsic& function;
  std::vector<std::optional<ArgValue>> args;
  Span span;

  std::string_view name() const { return function.name; }
  bool has(size_t i) const { return args[i].has_value(); }
  const Value& value(size_t i) const { return args[i]->value; }
  Span span_of(size_t i) const { return args[i]->span; }
};

std::span<const Intrinsic> intrinsics();
const Intrinsic* find_intrinsic(std::string_view name);
std::vector<std::string_view> intrinsic_names();

}  // namespace smelt::frontend
