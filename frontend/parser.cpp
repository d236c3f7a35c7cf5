#include "frontend/parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/ast_walk.h"
#include "frontend/foreign_words.h"
#include "frontend/parser_impl.h"
#include "ir/support/stack.h"
#include "ir/support/suggest.h"

namespace smelt {

ast::Ast parse(const SourceMap& sources, uint32_t file, Diagnostics& diagnostics, std::vector<AttributeBrace>* braces,
               const Limits& limits) {
  return Parser(lex(sources, file, diagnostics, limits), diagnostics, limits, braces).parse_file();
}

ast::Ast Parser::parse_file() {
  while (!at(TokenKind::EndOfFile)) {
    if (accept(TokenKind::Semicolon)) continue;
    const size_t before = at_;
    statement_at_ = at_;
    section();
    const bool failed = panic_;
    if (failed) recover_section();
    if (at_ != before) continue;
    advance();
    if (failed) recover_section();  // the rest of its line is the same mistake
  }
  return std::move(ast_);
}

// Half of the stack is kept, because later stages walk the tree as deep as it is.
Parser::Depth::Depth(Parser& p) : parser(p), ok(++p.depth_ <= p.limits_.nesting && stack_left() > 0.5) {
  if (ok || p.panic_) return;
  const bool over = p.depth_ > p.limits_.nesting;
  p.diagnostics_
      .report(Diag::E0008, p.peek().span,
              over ? fmt::format("nested more than {} levels deep", p.limits_.nesting)
                   : fmt::format("nested more than {} levels deep: there is no stack for more", p.depth_ - 1))
      .with_help("bind a part of the expression to a name, or " +
                 (over ? double_limit(&Limits::nesting, p.limits_) : std::string(kRaiseStack)));
  p.panic_ = true;
}

void Parser::note_height(Span begin) {
  uint64_t height = 0;
  ast::for_each_child(ast_, ast_.exprs.back(),
                      [&](ast::ExprId child) { height = std::max(height, heights_[child.index]); });
  heights_.push_back(height + 1);
  if (height < limits_.chain || panic_) return;
  diagnostics_.report(Diag::E0008, begin, fmt::format("an expression of more than {} chained operators", limits_.chain))
      .with_help("bind a part of the expression to a name, or " + double_limit(&Limits::chain, limits_));
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
  const bool brace = kind == TokenKind::OpenBrace;
  if (brace && (at(TokenKind::Equal) || at(TokenKind::Colon)) && peek(1).kind == TokenKind::OpenBrace) {
    report_before_brace(where);
    advance();
  }
  if (accept(kind)) return true;
  std::string help;
  if (brace && at(TokenKind::Equal))
    help = fmt::format("what {} holds stands in braces: `{{ .. }}`, without `=`", where);
  if (kind == TokenKind::Equal && at(TokenKind::Colon)) help = "write `=` in its place";
  fail(fmt::format("expected {} in {}, found {}", describe(kind), where, found()), std::move(help));
  return false;
}

/// `= {` or `: {`, at the first of the two. The body is read as if it were not there.
void Parser::report_before_brace(std::string_view where) {
  diagnostics_.report(Diag::E0006, peek().span, fmt::format("expected `{{` in {}, found {}", where, found()))
      .with_help(fmt::format("braces follow directly: remove {}", found()));
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

/// `x f32[B]`, `x: f32 B]`: what a type lacks around here; empty when nothing.
std::string Parser::help_for_type() const {
  static constexpr std::string_view kTypes[] = {"f32", "f64", "f16", "bf16", "i32", "i64", "bool", "ix"};
  const auto is_type = [](std::string_view word) { return std::ranges::find(kTypes, word) != std::end(kTypes); };
  if (at_ == 0 || !at(TokenKind::Name) || previous().kind != TokenKind::Name) return {};
  if (is_type(peek().text))
    return fmt::format("`:` stands before a type: `{}: {}`", printable(previous().text), peek().text);
  if (previous().text == "ix")
    return fmt::format("`<` and `>` are around the dim of labels: `ix<{}>`", printable(peek().text));
  return is_type(previous().text)
             ? fmt::format("a shape is in `[` and `]`: `{}[{}, ..]`", previous().text, printable(peek().text))
             : std::string();
}

/// `+=`, `**`: an operator of another language, which begins here or with the token before.
std::string_view Parser::help_for_sign() const {
  const auto from = [this](size_t at) {
    std::string sign(tokens_[at].text);
    if (at + 1 < tokens_.size() && !tokens_[at + 1].space_before) sign += tokens_[at + 1].text;
    size_t length = 0;
    const std::string_view help = frontend::help_for_operator(sign, &length);
    return length < 2 ? std::string_view() : help;  // the lexer tells of characters that begin no token
  };
  const std::string_view here = from(at_);
  return here.empty() && at_ > 0 && !peek().space_before ? from(at_ - 1) : here;
}

void Parser::fail(std::string message, std::string help) {
  if (const std::string_view sign = help_for_sign(); !sign.empty()) help = sign;
  if (help.empty()) help = help_for_type();
  if (help.empty() && !form_.empty()) help = fmt::format("such a line is `{}`", form_);
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

/// Whether the token could be the first one of an expression.
bool Parser::begins_value() const {
  switch (peek().kind) {
    case TokenKind::Name:
    case TokenKind::Integer:
    case TokenKind::Float:
    case TokenKind::String:
    case TokenKind::OpenParen:
    case TokenKind::OpenBracket: return true;
    default: return false;
  }
}

/// A word that begins lines, and what goes on behind it.
bool Parser::at_word_of_line() const {
  static constexpr std::string_view kWords[] = {"data",       "batch", "epochs", "steps",  "seed", "step",
                                                "loop",       "ema",   "every",  "stop",   "eval", "image",
                                                "checkpoint", "param", "state",  "report", "yield"};
  if (!at(TokenKind::Name) || std::ranges::find(kWords, peek().text) == std::end(kWords)) return false;
  const TokenKind next = peek(1).kind;
  return !peek(1).newline_before &&
         (next == TokenKind::Name || next == TokenKind::Integer || next == TokenKind::Float ||
          (next == TokenKind::OpenBrace && peek().text == "loop"));
}

/// A line of its own begins here, where a value is still missing: `steps` at the end of a line before `seed 1`.
bool Parser::at_next_line() const {
  if (!at(TokenKind::Name) || !peek().newline_before || at_ == 0) return false;
  return at_section() || at_word_of_line() || (open_brackets_ == 0 && at_assignment());
}

/// `x |> Dense{8} + 1`: the stages of a pipe are functions, to which nothing can be added.
bool Parser::at_operator_behind_pipe() const {
  switch (peek().kind) {
    case TokenKind::Plus:
    case TokenKind::Minus:
    case TokenKind::Star:
    case TokenKind::Slash:
    case TokenKind::At:
    case TokenKind::Caret: break;
    default: return false;
  }
  for (size_t i = statement_at_; i < at_; ++i)
    if (tokens_[i].kind == TokenKind::PipeTo) return true;
  return false;
}

/// What may be meant when a statement could end before the current token and does not.
std::string Parser::help_for_rest(std::string_view what) const {
  static constexpr std::string_view kWords[] = {"param", "state", "report", "dim", "assert", "yield"};
  const size_t read = at_ - statement_at_;
  const Token& first = tokens_[statement_at_];
  if (at(TokenKind::Equal)) return "compare with `==`; `=` binds one name";
  if (at(TokenKind::CloseParen) || at(TokenKind::CloseBracket) || at(TokenKind::CloseBrace))
    return fmt::format("{} closes nothing: remove it, or open a bracket before", describe(peek().kind));
  if (at(TokenKind::Comma) && read >= 2 && tokens_[statement_at_ + 1].kind == TokenKind::Equal &&
      peek(2).kind == TokenKind::Equal)
    return "`report a = .., b = ..` shows several values; bindings have a line each";
  if (at(TokenKind::Comma)) return "several values are a tuple in parentheses: `(a, b)`";
  if (what == "the file" && at(TokenKind::PipeTo) && previous().kind == TokenKind::CloseBrace)
    return "the section ends at the `}` before it, which may be one too many";
  if (at_operator_behind_pipe())
    return "a pipe ends where an operator begins: write `(x |> f) + 1`, or give the pipe a name first";
  if (at(TokenKind::ThinArrow)) return "stages of a pipe follow `|>`";
  if (at(TokenKind::Colon) && previous().kind == TokenKind::Name && peek(1).kind == TokenKind::Name) {
    const char* options = peek(2).kind == TokenKind::OpenBrace ? "{..}" : "";
    return fmt::format(
        "labels stand in pipes, `x |> {0}: {1}{2}`; to call a layer, bind it first: `{0} = {1}{2}`, then `{0}(x)`",
        printable(previous().text), printable(peek(1).text), options);
  }
  if (!begins_value()) return "start a new line, or put `;` between two statements";
  if (at_word_of_line())
    return fmt::format("`{0}` begins a line: put it on one of its own, or `;` before it: `.. ; {0} {1}`",
                       printable(peek().text), printable(peek(1).text));
  if (at_word("if")) return "`if c { a } else { b }` chooses while compiling, `where(c, a, b)` for each element";
  if (previous().kind == TokenKind::Name && previous().text == "repeat")
    return fmt::format("a `repeat` has an index: `repeat i < {} {{ .. }}`", found() == "`(`" ? "n" : peek().text);
  if (read == 1 && first.kind == TokenKind::Name) {
    if (const std::string_view help = frontend::help_for_keyword(first.text); !help.empty()) return std::string(help);
    if (std::string word = did_you_mean(first.text, kWords); !word.empty() && at(TokenKind::Name)) return word;
    return fmt::format(
        "write `{0} = ..` to bind a value, `{0} ~ ..` to draw, `{0} <- ..` to write a state, or `{0}(..)` to apply it",
        printable(first.text));
  }
  if (previous().kind == TokenKind::Name && peek(1).kind == TokenKind::Colon)
    return "stages of a pipe follow `|>`: `x |> a: Dense{64} |> b: Dense{64}`";
  if (previous().kind == TokenKind::Name)
    return fmt::format(
        "an operator is missing between `{0}` and {1}, or `(`: `{0}(..)`; statements have a line each, or `;` between "
        "them",
        printable(previous().text), found());
  return "an operator is missing, or a new line, or `;` between two statements";
}

void Parser::finish_statement(std::string_view what) {
  if (accept(TokenKind::Semicolon) || at_end_of_statement()) return;
  const bool unbound = at_ - statement_at_ == 1 && previous().kind == TokenKind::Name && begins_value();
  fail(unbound
           ? fmt::format("expected `=`, `~`, `<-` or `(` behind `{}`, found {}", printable(previous().text), found())
           : fmt::format("expected the end of the line in {}, found {}", what, found()),
       help_for_rest(what));
}

/// A bracket whose list goes on in a way that it cannot. What begins a line does not belong to it: then the bracket
/// itself is the mistake.
void Parser::report_open(TokenKind open, TokenKind close, Span opening, std::string_view what) {
  const bool elsewhere = at(TokenKind::EndOfFile) || at(TokenKind::CloseBrace) || peek().newline_before;
  if (elsewhere) {
    report_unclosed(opening, fmt::format("this {}", describe(open)), close);
    panic_ = true;
    return;
  }
  std::string help = help_for_type();
  if (help.empty() && at(TokenKind::Colon) && previous().kind == TokenKind::Name)
    help = fmt::format("options are given with `=`: `{} = ..`", printable(previous().text));
  else if (help.empty() && at(TokenKind::Equal))
    help = "options with names stand directly in the parentheses of a call: a `(` before them may be one too many";
  else if (help.empty() && (at(TokenKind::CloseParen) || at(TokenKind::CloseBracket)))
    help = fmt::format("close the {} first, or remove it", describe(open));
  else if (help.empty() && begins_value() && previous().kind == TokenKind::Name)
    help = fmt::format("between `{0}` and {1} an operator, `,` or `=` is missing, or a bracket: `{0}(..)`, `{0}[..]`",
                       printable(previous().text), found());
  else if (help.empty() && begins_value())
    help = "an operator or `,` is missing before it";
  if (!at(TokenKind::Bad)) {
    diagnostics_
        .report(Diag::E0006, peek().span,
                fmt::format("expected `,` or {} in {}, found {}", describe(close), what, found()))
        .label(opening, "opened here")
        .with_help(std::move(help));
  }
  panic_ = true;
}

/// One missing bracket leaves every block around it open: only the innermost is reported.
void Parser::report_unclosed(Span opening, std::string_view what, TokenKind closing) {
  if (std::exchange(unclosed_at_, at_) == at_) return;
  const std::string_view close =
      tokens_[at_].kind == TokenKind::EndOfFile ? "the file ends" : "the next section begins";
  const bool section = at(TokenKind::EndOfFile) || at_section();
  Diagnostic& diagnostic = diagnostics_.report(Diag::E0007, opening, fmt::format("{} is never closed", what));
  if (at_ > 0)
    diagnostic.label(previous().span, fmt::format("{} is missing behind this, at the latest", describe(closing)));
  if (closing != TokenKind::CloseBrace && !section && peek().newline_before)
    diagnostic.with_help("or a `,`, when the list goes on in the next line");
  diagnostic.label(peek().span, section ? fmt::format("{} here", close) : fmt::format("{} does not", found()));
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
