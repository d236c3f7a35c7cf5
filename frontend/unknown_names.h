// Names that nothing declares: collected while a file is read, and reported with what may be meant where they stand.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontend/library.h"

namespace smelt::frontend {

/// What a name could be where it stands.
enum class Place : uint8_t { Value, Callee, Layer, Dim, Net, Position /* in the brackets of `x[..]` */ };

class UnknownNames {
 public:
  UnknownNames(const FileScope& scope, const Library& library, Diagnostics& diagnostics)
      : scope_(scope), library_(library), diagnostics_(diagnostics) {}

  using Locals = std::vector<std::pair<std::string, Span>>;
  /// `locals` gives what is in scope, and where it is bound; it is asked for names that will be shown.
  void note(std::string_view name, Span span, Place place, const std::function<Locals()>& locals, bool in_formula);

  /// When it is known which declarations nothing uses. Once a name, because it lacks one declaration.
  void report(const std::set<std::string>& used, const std::function<Span(std::string_view)>& declaration);

 private:
  struct Unknown {
    std::string name;
    Span span;
    Place place;
    Locals locals;
    bool in_formula = false;
    bool net = false;  // somewhere
    int places = 1;
  };

  std::vector<std::string> names_for(const Unknown& u, bool fitting) const;
  bool is_misspelt_model(const Unknown& u) const;
  const ast::LayerDecl* idle_layer(const Unknown& u, const std::set<std::string>& used) const;
  static void ask_for_model(const Unknown& u, const ast::LayerDecl& layer, Diagnostic& diagnostic);
  bool in_train(const Unknown& u) const;
  std::string help_for_row(const Unknown& u) const;
  std::string help_for_schedule(const Unknown& u) const;
  std::string help_for_result(const Unknown& u) const;
  static std::string how_to_declare(const Unknown& u);
  void advise(const Unknown& u, Diagnostic& diagnostic, const std::set<std::string>& used,
              const std::function<Span(std::string_view)>& declaration) const;

  const FileScope& scope_;
  const Library& library_;
  Diagnostics& diagnostics_;
  std::vector<Unknown> unknown_;
  std::map<std::string, size_t, std::less<>> places_;  // in unknown_
};

}  // namespace smelt::frontend
