// Names that nothing declares: collected while a file is read, and reported with what may be meant where they stand.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontend/library.h"

namespace smelt::frontend {

/// What a name could be where it stands.
enum class Place : uint8_t { Value, Callee, Dim, Net };

class UnknownNames {
 public:
  UnknownNames(const FileScope& scope, const Library& library, Diagnostics& diagnostics)
      : scope_(scope), library_(library), diagnostics_(diagnostics) {}

  /// `locals`: in scope, and where they are bound.
  void note(std::string_view name, Span span, Place place, std::vector<std::pair<std::string, Span>> locals,
            bool in_formula);

  /// When it is known which declarations nothing uses. Once a name, because it lacks one declaration.
  void report(const std::set<std::string>& used, const std::function<Span(std::string_view)>& declaration);

 private:
  struct Unknown {
    std::string name;
    Span span;
    Place place;
    std::vector<std::pair<std::string, Span>> locals;
    bool in_formula = false;
    int places = 1;
  };

  std::vector<std::string> names_for(const Unknown& u, bool fitting) const;
  static std::string how_to_declare(const Unknown& u);
  void advise(const Unknown& u, Diagnostic& diagnostic, const std::set<std::string>& used,
              const std::function<Span(std::string_view)>& declaration) const;

  const FileScope& scope_;
  const Library& library_;
  Diagnostics& diagnostics_;
  std::vector<Unknown> unknown_;
};

}  // namespace smelt::frontend
