// Text -> tokens. Words are all `Name`: whether one is a keyword depends on its place, which the parser
// knows. So are line ends: a token only says whether a line end stands before it.
#pragma once

#include <string_view>
#include <vector>

#include "ir/support/diagnostics.h"
#include "ir/support/limits.h"
#include "ir/support/source.h"

namespace smelt {

enum class TokenKind : uint8_t {
  EndOfFile,
  Name,
  Integer,
  Float,
  String,
  Bad,  // already reported
#define PUNCT(enumerator, text) enumerator,
#include "frontend/tokens.def"
#undef PUNCT
};

/// How a message names the kind: `a name`, `` `|>` ``.
std::string describe(TokenKind kind);

struct Token {
  TokenKind kind = TokenKind::EndOfFile;
  Span span;
  std::string_view text;        // the source bytes; a string without its quotes
  bool newline_before = false;  // a line end lies between the previous token and this one
  bool space_before = false;    // anything lies between them
  int64_t integer = 0;          // Integer
  double number = 0;            // Integer and Float
};

/// Tokens of buffer `file`, ended by EndOfFile. Mistakes are reported and skipped. Views point into the
/// buffer.
std::vector<Token> lex(const SourceMap& sources, uint32_t file, Diagnostics& diagnostics, const Limits& limits = {});

/// Tokens of `text`, which stands at `begin` of buffer `file`.
std::vector<Token> lex_part(std::string_view text, uint32_t file, uint32_t begin, Diagnostics& diagnostics,
                            const Limits& limits = {});

/// The value of a string token: escapes replaced. Unknown ones are reported.
std::string unescape(const Token& token, Diagnostics& diagnostics);

}  // namespace smelt
