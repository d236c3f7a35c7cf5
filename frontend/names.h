// What a name means: a local of the body, a declaration of its file, one of the library, a function of the compiler.
// Members are defined in names.cpp, and those of the config in config.cpp.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "frontend/build_experiment.h"
#include "frontend/graph_writer.h"

namespace smelt {

struct FrontendOptions;
struct Experiment;
class Diagnostics;

namespace frontend {

struct FileScope;
class Library;
class Scopes;
class Shapes;
class GraphWriter;
class Signatures;
class Variables;
class Layers;
class Averages;
class Formulas;
class Evaluator;

/// The value of a declaration of the file is computed once, when it is first needed.
class Names {
 public:
  Names(const FileScope& file, const Library& library, const FrontendOptions& options, Experiment& experiment,
        Scopes& scopes, Shapes& shapes, GraphWriter& graph, Signatures& signatures, Variables& variables,
        Layers& layers, Averages& averages, Formulas& formulas, Evaluator& evaluator, Diagnostics& diagnostics)
      : file_(file),
        library_(library),
        options_(options),
        experiment_(experiment),
        scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        signatures_(signatures),
        variables_(variables),
        layers_(layers),
        averages_(averages),
        formulas_(formulas),
        evaluator_(evaluator),
        diagnostics_(diagnostics) {}

  Value name_value(const std::string& name, Span span, ast::ExprId expr, const Naming& naming = {});
  Value unknown_name(const std::string& name, Span span);
  Value declare_dim(const ast::DimDecl& decl, bool top_level);
  /// Puts `--set` in force and notes the config in the experiment.
  void set_config();
  /// Computes the declarations of the file that nothing may need.
  void declare_all();

 private:
  Value binding_value(const Binding& binding);
  Value decl_value(const FileScope& scope, const Decl& decl, Span span, ast::ExprId expr, const Naming& naming);
  Value global(std::string_view name, Span span, const std::function<Value()>& compute);
  Value config_value(const ast::ConfigDecl& decl);
  Value const_value(const ast::ConstDecl& decl);
  void read_start(const ast::ModelDecl& decl);

  const FileScope& file_;
  const Library& library_;
  const FrontendOptions& options_;
  Experiment& experiment_;
  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Signatures& signatures_;
  Variables& variables_;
  Layers& layers_;
  Averages& averages_;
  Formulas& formulas_;
  Evaluator& evaluator_;
  Diagnostics& diagnostics_;
  std::map<std::string, Value, std::less<>> globals_;  // values of the file's declarations
  std::set<std::string, std::less<>> computing_;       // declarations whose value is being computed
  std::map<std::string, Value> config_;                // after --set
};

/// Names that are known everywhere: true, inf, f32.
std::optional<Value> builtin_constant(std::string_view name);

}  // namespace frontend
}  // namespace smelt
