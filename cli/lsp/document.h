// An open file of an editor: its text, and what the frontend says of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/ast.h"
#include "frontend/build_experiment.h"
#include "frontend/lexer.h"

namespace smelt::cli::lsp {

/// Lines from 0, characters from 0 in UTF-16 units: how the protocol counts.
struct Position {
  int64_t line = 0, character = 0;
};
Position position_of(std::string_view text, size_t offset);
size_t offset_of(std::string_view text, Position position);

/// A name that the file declares, at its top or in a body.
struct Declared {
  std::string name;
  Span span;
  bool local = false;
  bool assigned = false;  // `x = ..`, `z ~ ..`: nothing in the text says its type
};

struct Document {
  std::string uri, text;
  Limits limits;
  std::unique_ptr<SourceMap> sources;
  uint32_t file = 0;
  Diagnostics diagnostics;
  ast::Ast tree;
  std::vector<Token> tokens;       // the end of the file is the last one
  std::vector<BoundName> bound;    // as far as the file could be evaluated
  std::vector<Declared> declared;  // in no order
  std::vector<uint32_t> sections;  // where they begin
  std::string internal_error;      // the frontend gave up; ours to mend

  /// The section that holds the offset: from, to.
  std::pair<uint32_t, uint32_t> section_around(size_t offset) const;
  /// The name at the offset, or that ends there; its index among the tokens.
  std::optional<size_t> name_at(size_t offset) const;
};

Document analyse(std::string uri, std::string text, const Limits& limits);

/// What a name refers to where it stands.
struct Meaning {
  enum class Kind : uint8_t { Local, File, Library } kind{};
  std::string name;
  Span span;  // of the declaration: in the file, or (of the library's) in `sources` of the document
};
/// Nothing for members, labels and names that nothing declares; built-in functions have no place.
std::optional<Meaning> meaning_of(const Document& document, size_t token);

}  // namespace smelt::cli::lsp
