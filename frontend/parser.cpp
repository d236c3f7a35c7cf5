#include "frontend/parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/ast_walk.h"
#include "frontend/parser_impl.h"

namespace smelt {

ast::Ast parse(const SourceMap& sources, uint32_t file, Diagnostics& diagnostics, std::vector<AttributeBrace>* braces) {
  return Parser(lex(sources, file, diagnostics), diagnostics, braces).parse_file();
}

ast::Ast Parser::parse_file() {
  while (!at(TokenKind::EndOfFile)) {
    if (accept(TokenKind::Semicolon)) continue;
    const size_t before = at_;
    section();
    if (panic_) recover_section();
    if (at_ == before) advance();
  }
  return std::move(ast_);
}

Parser::Depth::Depth(Parser& p) : parser(p), ok(++p.depth_ <= kMaxNesting) {
  if (ok || p.panic_) return;
  p.diagnostics_.report(Diag::E0008, p.peek().span, fmt::format("nested more than {} levels deep", kMaxNesting))
      .with_help("bind a part of the expression to a name");
  p.panic_ = true;
}

void Parser::note_height(Span begin) {
  int height = 0;
  ast::for_each_child(ast_, ast_.exprs.back(),
                      [&](ast::ExprId child) { height = std::max(height, heights_[child.index]); });
  heights_.push_back(height + 1);
  if (height < kMaxHeight || panic_) return;
  diagnostics_.report(Diag::E0008, begin, fmt::format("an expression of more than {} chained operators", kMaxHeight))
      .with_help("bind a part of the expression to a name");
  panic_ = true;
}

bool Parser::at_keyword(std::string_view word) const {
  if (!at_word(word)) return false;
  switch (peek(1).kind) {
    case TokenKind::Equal:
    case TokenKind::Tilde:
    case TokenKind::LeftArrow:
    case TokenKind::OpenParen:
    case TokenKind::Dot:
    case TokenKind::Colon:
    case TokenKind::PipeTo: return false;
    default: return true;
  }
}

bool Parser::accept(TokenKind kind) {
  if (!at(kind)) return false;
  advance();
  return true;
}

bool Parser::accept_word(std::string_view word) {
  if (!at_word(word)) return false;
  advance();
  return true;
}

bool Parser::expect(TokenKind kind, std::string_view where) {
  if (panic_) return false;
  if (accept(kind)) return true;
  fail(fmt::format("expected {} in {}, found {}", describe(kind), where, found()));
  return false;
}

bool Parser::expect_word(std::string_view word, std::string_view where) {
  if (panic_) return false;
  if (accept_word(word)) return true;
  fail(fmt::format("expected `{}` in {}, found {}", word, where, found()));
  return false;
}

ast::Ident Parser::expect_name(std::string_view what) {
  if (panic_) return {};
  if (!at(TokenKind::Name)) {
    fail(fmt::format("expected {}, found {}", what, found()));
    return {};
  }
  advance();
  return {std::string(previous().text), previous().span};
}

void Parser::advance() {
  if (!at(TokenKind::EndOfFile)) ++at_;
}

void Parser::fail(std::string message, std::string help) {
  if (!panic_ && !at(TokenKind::Bad)) {  // a bad token is reported already
    diagnostics_.report(Diag::E0006, peek().span, std::move(message)).with_help(std::move(help));
  }
  panic_ = true;
}

std::string Parser::found() const {
  switch (peek().kind) {
    case TokenKind::Name:
    case TokenKind::Integer:
    case TokenKind::Float: return fmt::format("`{}`", printable(peek().text));
    default: return describe(peek().kind);
  }
}

bool Parser::at_end_of_statement() const {
  return at(TokenKind::Semicolon) || at(TokenKind::CloseBrace) || at(TokenKind::EndOfFile) || on_new_line();
}

void Parser::finish_statement(std::string_view what) {
  if (accept(TokenKind::Semicolon) || at_end_of_statement()) return;
  const bool equals = at(TokenKind::Equal);
  const char* help = equals                 ? "compare with `==`; `=` binds one name"
                     : at(TokenKind::Comma) ? "several values are a tuple in parentheses: `(a, b)`"
                                            : "start a new line, or put `;` between two statements";
  fail(fmt::format("expected the end of the line in {}, found {}", what, found()), help);
}

/// One missing bracket leaves every block around it open: only the innermost is reported.
void Parser::report_unclosed(Span opening, std::string_view what) {
  if (std::exchange(unclosed_at_, at_) == at_) return;
  const std::string_view end = at(TokenKind::EndOfFile) ? "the file ends" : "the next section begins";
  diagnostics_.report(Diag::E0007, opening, fmt::format("{} is never closed", what))
      .label(peek().span, fmt::format("{} here", end));
}

/// Skips to the next line of this block; whole brackets are skipped.
void Parser::recover_statement() {
  panic_ = false;
  int depth = 0;
  while (!at(TokenKind::EndOfFile) && !at_section()) {
    const bool boundary = at(TokenKind::Semicolon) || peek().newline_before;
    if (depth == 0 && (at(TokenKind::CloseBrace) || boundary)) break;
    if (at(TokenKind::OpenBrace) || at(TokenKind::OpenParen) || at(TokenKind::OpenBracket)) ++depth;
    if (at(TokenKind::CloseBrace) || at(TokenKind::CloseParen) || at(TokenKind::CloseBracket))
      depth = std::max(0, depth - 1);
    advance();
  }
  accept(TokenKind::Semicolon);
}

/// Skips to a line that starts with a word in the first column: that is where sections start.
void Parser::recover_section() {
  panic_ = false;
  open_brackets_ = 0;
  brace_is_block_ = false;
  while (!at(TokenKind::EndOfFile)) {
    if (at_section()) return;
    const bool first_column = peek().newline_before && tokens_[at_].span.begin > 0 && at(TokenKind::Name) &&
                              *(peek().text.data() - 1) == '\n';
    if (first_column) return;
    advance();
  }
}

}  // namespace smelt
