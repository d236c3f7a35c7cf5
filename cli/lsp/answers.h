// What an editor asks of a document, as JSON of the language server protocol.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "cli/lsp/document.h"

namespace smelt::cli::lsp {

nlohmann::json range_of(std::string_view text, size_t begin, size_t end);

nlohmann::json diagnostics_of(const Document& document);
/// Null when there is nothing to say.
nlohmann::json hover(const Document& document, size_t offset);
nlohmann::json completion(const Document& document, size_t offset);
/// A declaration of the library is in a copy of its text, which is written below the cache directory.
nlohmann::json definition(const Document& document, size_t offset);
nlohmann::json formatting(const Document& document);
nlohmann::json inlay_hints(const Document& document, size_t begin, size_t end);

/// A workspace edit, or why not: a name that is none, or a file that would not compile any more.
struct Renamed {
  nlohmann::json edit;
  std::string refused;
};
Renamed rename(const Document& document, size_t offset, const std::string& name);

}  // namespace smelt::cli::lsp
