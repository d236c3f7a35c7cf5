// Applying functions of the language and of the compiler: arguments meet parameters. Custom adjoints are in
// adjoint.cpp.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/graph_writer.h"

namespace smelt {

class Diagnostics;

namespace frontend {

class Library;
class Scopes;
class Shapes;
class GraphWriter;
class Signatures;
class Layers;
class Evaluator;
struct Provided;

/// What stands around arguments: those of a layer that it is made of are in braces.
enum class Brackets : uint8_t { Parentheses, Braces };

class Calls {
 public:
  Calls(const Library& library, Scopes& scopes, Shapes& shapes, GraphWriter& graph, Signatures& signatures,
        Layers& layers, Evaluator& evaluator, const Provided& provided, Diagnostics& diagnostics)
      : library_(library),
        scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        signatures_(signatures),
        layers_(layers),
        evaluator_(evaluator),
        provided_(provided),
        diagnostics_(diagnostics) {}

  struct ParamSpec {
    std::string name;
    bool required = true;
  };
  /// Positional arguments fill the parameters from the left, named ones by name.
  std::optional<std::vector<std::optional<ArgValue>>> match_args(std::string_view callee,
                                                                 const std::vector<ParamSpec>& specs, Args args,
                                                                 Span span, Brackets brackets = Brackets::Parentheses);
  Value call(const Value& callee, Args args, Span span, std::string_view name);
  Value call_library(std::string_view fn, std::vector<Value> args, Span span);
  bool in_library(std::string_view fn) const;
  /// Path of the next call of `segment` inside the running body: calls are numbered in program order.
  std::string call_path(const std::string& segment);

 private:
  Value call_fn(const FileScope& scope, const ast::FnDecl& decl, Args args, Span span);
  Value evaluated_fn(const FileScope& scope, const ast::FnDecl& decl, std::vector<std::optional<ArgValue>>& matched,
                     const std::map<std::string, Value>& defaults, Span span);
  std::optional<std::map<std::string, Value>> time_of_run(const ast::FnDecl& decl, Span span);
  bool check_ranges(const FileScope& scope, const ast::FnDecl& decl,
                    const std::vector<std::optional<ArgValue>>& matched);
  Value call_intrinsic(const Intrinsic& intrinsic, Args args, Span span);
  Value with_adjoint(const ast::FnDecl& decl, const Value& value);
  std::optional<std::vector<Value>> vjp_values(const ast::FnDecl& decl, const Tensor& result, const Tensor& ct);
  std::optional<Tensor> parameter_cotangent(const ast::FnDecl& decl, const ast::Param& param, const Value& argument,
                                            const Value& value);

  const Library& library_;
  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Signatures& signatures_;
  Layers& layers_;
  Evaluator& evaluator_;
  const Provided& provided_;
  Diagnostics& diagnostics_;
};

}  // namespace frontend
}  // namespace smelt
