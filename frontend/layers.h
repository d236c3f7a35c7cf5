// Layers: one occurrence of `Layer{..}` is one instance with its own parameters; applying it evaluates its body.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "frontend/graph_writer.h"

namespace smelt {

class Diagnostics;

namespace frontend {

struct FileScope;
class Scopes;
class Shapes;
class GraphWriter;
class Names;
class Signatures;
class Calls;
class Evaluator;

class Layers {
 public:
  Layers(const FileScope& file, Scopes& scopes, Shapes& shapes, GraphWriter& graph, Names& names,
         Signatures& signatures, Calls& calls, Evaluator& evaluator, Diagnostics& diagnostics)
      : file_(file),
        scopes_(scopes),
        shapes_(shapes),
        graph_(graph),
        names_(names),
        signatures_(signatures),
        calls_(calls),
        evaluator_(evaluator),
        diagnostics_(diagnostics) {}

  Value layer_occurrence(const FileScope& scope, const ast::LayerDecl& decl, const std::vector<ast::Arg>* attributes,
                         ast::ExprId name_expr, const Naming& naming, Span span);
  bool take_options(const ast::LayerDecl& decl);
  Value call_layer(const LayerValue& layer, Args args, Span span);
  Value model_value(const ast::ModelDecl& decl);

 private:
  LayerInstance* new_instance(const FileScope& scope, const ast::LayerDecl& decl, std::string path,
                              std::string site_name, Span span);
  bool bind_attributes(LayerInstance& instance, const std::vector<ast::Arg>* attributes, Span span);
  std::string occurrence_path(const std::string& segment, bool named_by_repeat) const;
  std::string occurrence_segment(const ast::LayerDecl& decl, ast::ExprId name_expr, const Naming& naming);
  bool is_taken(std::string_view bound) const;
  void number_occurrences(LayerInstance& parent);
  void check_first_call(LayerInstance& instance, Span span);

  const FileScope& file_;
  Scopes& scopes_;
  Shapes& shapes_;
  GraphWriter& graph_;
  Names& names_;
  Signatures& signatures_;
  Calls& calls_;
  Evaluator& evaluator_;
  Diagnostics& diagnostics_;
  std::map<std::string, std::unique_ptr<LayerInstance>> models_;
};

}  // namespace frontend
}  // namespace smelt
