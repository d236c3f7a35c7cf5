// The standard library: texts in the language itself, embedded in the binary.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
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

/// `_digits`: what begins with `_` is the library's own. Who copies its text may use it; nothing lists or suggests it.
inline bool is_inner_name(std::string_view name) { return name.starts_with('_'); }

/// All files of the standard library, parsed. They join `sources`; their trees are made once in a process, because an
/// editor asks for them at each key.
class Library {
 public:
  explicit Library(SourceMap& sources);

  const FileScope* find_file(std::string_view name) const;
  /// A declaration of any file.
  std::pair<const FileScope*, Decl> find(std::string_view name) const;
  std::vector<std::string> names() const;

 private:
  using Files = std::vector<std::unique_ptr<const FileScope>>;
  static std::shared_ptr<const Files> parsed(uint32_t first_file);

  std::shared_ptr<const Files> files_;
};

/// Fills `scope.names` from its syntax tree. Two declarations of one name are reported, unless in different
/// namespaces (objectives, metrics, data and train sections are named apart).
void declare_names(FileScope& scope, Diagnostics& diagnostics);

}  // namespace frontend
}  // namespace smelt
