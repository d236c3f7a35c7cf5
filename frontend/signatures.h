// Declared types: sizes and shapes as they are written, binding the heads of layers and functions, checking results.
// Members are defined in signatures.cpp, those of axes at the border of a body in head_axes.cpp, those of what a body
// gives in declared_results.cpp.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontend/graph_writer.h"

namespace smelt {

class Diagnostics;

namespace frontend {

class Scopes;
class Shapes;
class GraphWriter;
class Names;
class Distributions;
class Evaluator;

/// Axes in another order than a head has them.
struct TurnedAxes {
  std::string why;     // which are in the other order
  std::string turn;    // how the value gets the order of the head
  std::string rename;  // how the value keeps its own
};

class Signatures {
 public:
  Signatures(Scopes& scopes, Shapes& shapes, GraphWriter& graph, Names& names, Distributions& distributions,
             Evaluator& evaluator, Diagnostics& diagnostics)
      : scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        names_(names),
        distributions_(distributions),
        evaluator_(evaluator),
        diagnostics_(diagnostics) {}

  std::optional<Axis> axis_expression(ast::ExprId expr);
  std::optional<Axes> axes_expression(const std::vector<ast::DimItem>& items);
  std::optional<DType> dtype_of(const ast::Type& type, DimId* label);
  bool bind_tuple(ast::TypeId type, Value& value, Span span, const ast::Ident& param, std::string_view callee);
  bool bind_head(ast::TypeId type, Value& value, Span span, const ast::Ident& param, std::string_view callee);
  bool check_result(ast::TypeId type, Value& value, Span span, std::string_view what);
  /// A value of the body of `inner`, as its caller sees it.
  Value to_outside(Value value, const Frame& inner);
  /// Arguments without a type take the names that the head has given to axes of the caller.
  void name_untyped(const std::vector<ast::Param>& params);

 private:
  bool bind_label(const ast::Type& type, const Value& value);
  bool bind_axis(const ast::DimItem& item, Axis& axis, Span span, std::string& why, std::string& help);
  bool bind_rest(const ast::DimItem& item, std::span<Axis> axes);

  /// What is declared of a result, and what messages call it.
  struct DeclaredResult {
    ast::TypeId type;
    Span span;
    std::string_view what;
  };
  bool refuse_result(const DeclaredResult& declared, const std::string& got, std::string why, std::string help = {});
  std::optional<Tensor> declared_tensor(const DeclaredResult& declared, const Value& value);
  bool take_declared_axes(const DeclaredResult& declared, Axes& axes, const Value& value);

  bool match_axes(const ast::Type& type, const std::vector<Axis>& axes,
                  std::vector<std::pair<const ast::DimItem*, size_t>>& places, size_t& rest);
  std::optional<Axis> head_axis(const ast::DimItem& item);
  bool is_outside(const Axis& wanted, Axis axis) const;
  std::string rank_help(const ast::Type& type, const Axes& axes) const;
  std::string declared_axes(const ast::Type& type) const;
  std::optional<TurnedAxes> turned_axes(const std::vector<std::pair<const ast::DimItem*, size_t>>& places,
                                        const Axes& axes);
  std::optional<TurnedAxes> misplaced_axis(const Axes& given, const Axes& named) const;
  std::string declared_text(ast::TypeId type) const;

  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Names& names_;
  Distributions& distributions_;
  Evaluator& evaluator_;
  Diagnostics& diagnostics_;
};

}  // namespace frontend
}  // namespace smelt
