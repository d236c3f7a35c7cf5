// A text taken apart for formatting: tokens with what each of them is there for, and the comments around them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frontend/lexer.h"
#include "frontend/parser.h"

namespace smelt::format {

/// What a token is where it stands, as far as spaces depend on it.
enum class Role : uint8_t {
  Plain,
  Call,        // `(` behind what is called
  Index,       // `[` behind what is indexed, or of a type
  Block,       // `{`
  Attributes,  // `{` of `Dense{64}`
  Declared,    // `{` of `layer Dense{out}`
  Prefix,      // unary `-`, `...` in front of a name
  Tight,       // an operator without spaces
  Joined,      // written against the token before it: `W*` of a selector
  Angle        // `<` or `>` of `ix<Class>`
};

struct Comment {
  std::string text;
  bool blank_before = false;  // an empty line stands before it
};

struct Piece {
  TokenKind kind = TokenKind::EndOfFile;
  std::string_view text;  // as written, quotes included
  Role role = Role::Plain;
  bool begins_line = false;
  bool blank_before = false;      // an empty line stands before it, behind the comments
  std::vector<Comment> comments;  // on lines of their own before it
  std::string trailing;           // the comment at the end of its line
  size_t partner = 0;             // of a bracket
  bool names(std::string_view word) const { return kind == TokenKind::Name && text == word; }
};

/// The last piece is the end of the file.
std::vector<Piece> take_apart(std::string_view text, const std::vector<Token>& tokens,
                              const std::vector<AttributeBrace>& braces);

/// Whether a space stands between two pieces of one line.
bool space_between(const std::vector<Piece>& pieces, size_t left);

bool opens(TokenKind kind);
bool closes(TokenKind kind);
/// An operator that needs something behind it.
bool is_operator(TokenKind kind);

}  // namespace smelt::format
