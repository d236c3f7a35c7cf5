// The standard library: texts in the language itself, embedded in the binary.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "frontend/value.h"
#include "ir/support/diagnostics.h"

namespace smelt {

/// The source text of `std.nn.Dense` with the comment above it, or of a whole file `std.nn`; nothing when
/// unknown.
std::optional<std::string> show_library(std::string_view name);
/// All names that show_library knows, `std.act.relu` and so on.
std::vector<std::string> library_names();

namespace frontend {

/// All files of the standard library, parsed.
class Library {
 public:
  Library(SourceMap& sources, Diagnostics& diagnostics);

  const FileScope* find_file(std::string_view name) const;
  /// A declaration of any file.
  std::pair<const FileScope*, Decl> find(std::string_view name) const;
  std::vector<std::string> names() const;

 private:
  std::vector<std::unique_ptr<FileScope>> files_;
};

/// Fills `scope.names` from its syntax tree. Two declarations of one name are reported, unless in different
/// namespaces (objectives, metrics, data and train sections are named apart).
void declare_names(FileScope& scope, Diagnostics& diagnostics);

}  // namespace frontend
}  // namespace smelt
