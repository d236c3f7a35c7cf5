// The sections of a file, except `train`.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "frontend/foreign_words.h"
#include "frontend/parser_impl.h"
#include "ir/support/suggest.h"

namespace smelt {

/// The first word of a section, its rule, and what follows the name behind the word.
struct Parser::Section {
  std::string_view word;
  void (Parser::*parse)();
  std::array<TokenKind, 2> after_name;
};

std::span<const Parser::Section> Parser::sections() {
  using enum TokenKind;
  static constexpr Section kSections[] = {{"import", &Parser::import_section, {Dot, OpenParen}},
                                          {"dim", &Parser::dim_section, {Equal, LessEqual}},
                                          {"config", &Parser::config_section, {Equal, Equal}},
                                          {"const", &Parser::const_section, {Colon, Equal}},
                                          {"data", &Parser::data_section, {OpenBrace, OpenBrace}},
                                          {"layer", &Parser::layer_section, {OpenBrace, OpenParen}},
                                          {"model", &Parser::model_section, {Equal, Equal}},
                                          {"fn", &Parser::fn_section, {OpenParen, OpenParen}},
                                          {"metric", &Parser::metric_section, {OpenParen, OpenParen}},
                                          {"export", &Parser::export_section, {OpenParen, OpenParen}},
                                          {"train", &Parser::train_section, {OpenBrace, OpenBrace}},
                                          {"optimiser", &Parser::optimiser_section, {OpenParen, OpenParen}},
                                          {"objective", &Parser::objective_section, {OpenParen, OpenParen}}};
  return kSections;
}

/// Spaces and the like before the token on its line.
static size_t column_of(const Token& token) {
  size_t column = 0;
  while (column < token.span.begin && *(token.text.data() - column - 1) != '\n') ++column;
  return column;
}

/// The first words of a section, wherever on its line they stand.
bool Parser::at_head_of_section() const {
  if (!at(TokenKind::Name)) return false;
  const auto section = std::ranges::find(sections(), peek().text, &Section::word);
  // A body may have dims of its own.
  if (section == sections().end() || section->word == "dim") return false;
  const bool unnamed = section->word == "train" && peek(1).kind == TokenKind::OpenBrace;
  const bool named = peek(1).kind == TokenKind::Name &&
                     (peek(2).kind == section->after_name[0] || peek(2).kind == section->after_name[1]);
  return unnamed || named;
}

bool Parser::at_section() const {
  return at(TokenKind::Name) && peek().newline_before && at_head_of_section() && column_of(peek()) <= section_column_;
}

/// `const`, `fn` and the like among the statements of a body, where others have local ones.
void Parser::refuse_section_in_body() {
  const Token& name = peek(1);
  std::string help = "move it in front of the section that it stands in";
  if (at_word("const") || at_word("config"))
    help = fmt::format("a value of the body has no word before it: `{} = ..`", printable(name.text));
  else if (at_word("fn"))
    help += "; what it reads of this body becomes its parameters";
  fail(fmt::format("`{}` begins a section of the file, and no statement", peek().text), std::move(help));
}

void Parser::section() {
  section_column_ = at(TokenKind::EndOfFile) ? 0 : column_of(peek());
  for (const Section& s : sections()) {
    if (!at_word(s.word)) continue;
    advance();
    if (at_word(s.word) && peek(1).kind == TokenKind::Name) {
      fail(fmt::format("`{}` stands twice", s.word), "remove one of them");
      return;
    }
    (this->*s.parse)();
    if (!panic_ && !at_end_of_statement()) finish_statement("the file");
    return;
  }
  fail(fmt::format("expected a section, found {}", found()), help_for_section());
}

/// What may be missing before a token that begins no section.
std::string Parser::help_for_section() const {
  std::vector<std::string_view> words;
  for (const Section& s : sections()) words.push_back(s.word);
  const std::string any = fmt::format("a section starts with one of {}", fmt::join(words, ", "));
  if (at(TokenKind::CloseBrace)) return "`}` closes nothing: remove it, or write the line that opens the block";
  if (!at(TokenKind::Name)) return any;
  const std::string name = printable(peek().text);
  if (const std::string_view help = frontend::help_for_keyword(peek().text); !help.empty()) return std::string(help);
  if (column_of(peek()) > 1)
    return fmt::format(
        "`{}` belongs to a body: the line with the `{{` that opens it is missing, or a `}}` before it is one too many",
        name);
  switch (peek(1).kind) {
    case TokenKind::Name: {
      const std::string word = did_you_mean(peek().text, words);
      return word.empty() ? any : word;
    }
    case TokenKind::LessEqual: return fmt::format("write `dim {} <= ..`", name);
    case TokenKind::Colon:
    case TokenKind::Tilde: return fmt::format("write `const {}: ..`", name);
    case TokenKind::Dot: return fmt::format("write `import {}.nn (Dense)`", name);
    case TokenKind::OpenParen:
      return fmt::format("write `fn {0}(..)`, or `metric`, `export`, `objective`, `optimiser` or `layer` before `{0}`",
                         name);
    case TokenKind::OpenBrace: return fmt::format("write `data {0} {{`, `train {0} {{` or `layer {0}{{..}}(..)`", name);
    case TokenKind::Equal:
      return fmt::format(
          "write `model {0} = ..` for a net, `config {0} = ..` or `const {0} = ..` for a number, `dim {0} = ..` for a "
          "size",
          name);
    default: return any;
  }
}

// import std.nn (Dense, Dropout)
void Parser::import_section() {
  ast::ImportDecl decl;
  const Span begin = previous().span;
  decl.module.push_back(expect_name("the name of a module"));
  while (!panic_ && accept(TokenKind::Dot)) decl.module.push_back(expect_name("the name of a module"));
  if (!panic_ && on_new_line()) {  // the line is at fault, not the next one
    const std::string module = fmt::format("{}.{}", decl.module.front().text, decl.module.back().text);
    diagnostics_.report(Diag::E0006, since(begin), "an import has the names that it takes, in parentheses")
        .with_help(decl.module.size() == 1
                       ? "write `import std.nn (Dense)`"
                       : fmt::format("write `import {0} (..)`; `smelt show {0}` lists names", module));
    panic_ = true;
  }
  bracketed(TokenKind::OpenParen, TokenKind::CloseParen, "an import",
            [&] { decl.names.push_back(expect_name("the name of a layer")); });
  decl.span = since(begin);
  if (!panic_) ast_.imports.push_back(std::move(decl));
}

// dim B <= 128, Pixel = 28 * 28
void Parser::dim_section() {
  for (ast::DimDecl& decl : dim_decls()) ast_.dims.push_back(std::move(decl));
}

std::vector<ast::DimDecl> Parser::dim_decls() {
  std::vector<ast::DimDecl> decls;
  do {
    ast::DimDecl decl;
    decl.name = expect_name("the name of a dim");
    if (panic_) return decls;
    decl.runtime = at(TokenKind::LessEqual);
    if (at(TokenKind::Less))
      fail("expected `=` or `<=` in a dim, found `<`",
           fmt::format("a size known at run time has a bound: `dim {} <= 8`", printable(decl.name.text)));
    else if (!accept(TokenKind::LessEqual))
      expect(TokenKind::Equal, "a dim");
    decl.extent = binary(0);
    if (!panic_) decls.push_back(std::move(decl));
  } while (!panic_ && accept(TokenKind::Comma));
  return decls;
}

// config hidden = 256, p = 0.2
void Parser::config_section() {
  do {
    ast::ConfigDecl decl;
    decl.name = expect_name("the name of a config entry");
    expect(TokenKind::Equal, "a config entry");
    if (!panic_) decl.value = binary(0);
    if (!panic_) ast_.configs.push_back(std::move(decl));
  } while (!panic_ && accept(TokenKind::Comma));
}

// const z_show: f32[64, Z] ~ Normal(0, 1)
void Parser::const_section() {
  ast::ConstDecl decl;
  decl.name = expect_name("the name of a constant");
  if (!panic_ && accept(TokenKind::Colon)) decl.type = type();
  if (panic_) return;
  decl.random = accept(TokenKind::Tilde);
  if (!decl.random) expect(TokenKind::Equal, "a constant");
  if (!panic_) decl.value = expression();
  if (!panic_) ast_.consts.push_back(std::move(decl));
}

// data mnist { train = idx("..")   x: f32[Pixel] in 0..1 = field(0) / 255 }
// data pets { train, valid = images("..", size = 64) |> split(0.9)   x: .. }
void Parser::data_section() {
  ast::DataDecl decl;
  const Span begin = previous().span;
  decl.name = expect_name("the name of the data");
  if (panic_) return;
  braced("a data section", [&] {
    ast::FieldDecl entry;
    entry.name = expect_name("the name of a split or a field");
    while (!panic_ && accept(TokenKind::Comma)) entry.others.push_back(expect_name("the name of a split"));
    if (!panic_ && entry.others.empty() && accept(TokenKind::Colon)) entry.type = type();
    if (!panic_ && entry.type.valid() && accept_word("in")) entry.range = binary(0);
    if (!panic_ && entry.type.valid() && !at(TokenKind::Equal)) {
      fail(fmt::format("expected `=` in a data section, found {}", found()),
           entry.range.valid()
               ? "a range is written `in low..high`"
               : "a field is `name: type = ..`, or `name: type in low..high = ..` where its range is known");
      return;
    }
    expect(TokenKind::Equal, "a data section");
    if (!panic_) entry.value = expression();
    if (!panic_) decl.entries.push_back(std::move(entry));
  });
  decl.span = since(begin);
  ast_.data.push_back(std::move(decl));
}

ast::Param Parser::param() {
  ast::Param p;
  p.name = expect_name("the name of a parameter");
  if (!panic_ && accept(TokenKind::Colon)) p.type = type();
  if (!panic_ && accept(TokenKind::Equal)) p.default_value = expression();
  if (!panic_ && accept(TokenKind::Tilde)) p.distribution = expression();
  return p;
}

std::vector<ast::Param> Parser::params(TokenKind open, TokenKind close) {
  std::vector<ast::Param> list;
  if (braces_ != nullptr && open == TokenKind::OpenBrace) braces_->push_back({peek().span.begin, true});
  bracketed(open, close, "a parameter list", [&] { list.push_back(param()); });
  return list;
}

// layer Dense{out, act = identity}(x: f32[..., In]) -> f32[..., out] with { init.weight = .. } { .. }
void Parser::layer_section() {
  ast::LayerDecl decl;
  const Span begin = previous().span;
  decl.name = expect_name("the name of a layer");
  if (panic_) return;
  if (at(TokenKind::OpenBrace)) decl.attributes = params(TokenKind::OpenBrace, TokenKind::CloseBrace);
  decl.params = params(TokenKind::OpenParen, TokenKind::CloseParen);
  expect(TokenKind::ThinArrow, "the head of a layer");
  if (!panic_) decl.result = type();
  decl.span = since(begin);
  if (!panic_ && accept_word("with")) {
    bracketed(TokenKind::OpenBrace, TokenKind::CloseBrace, "the options of a layer", [&] {
      ast::Arg option;
      option.name = expect_name("an option");
      while (!panic_ && accept(TokenKind::Dot)) option.name.text += "." + expect_name("an option").text;
      expect(TokenKind::Equal, "an option of a layer");
      if (!panic_) option.value = expression();
      decl.options.push_back(std::move(option));
    });
  }
  if (!panic_) decl.body = block("a layer");
  ast_.layers.push_back(std::move(decl));
}

// model net = MLP{hidden, p}, model net = MLP from "net.safetensors"
void Parser::model_section() {
  ast::ModelDecl decl;
  decl.name = expect_name("the name of a model");
  expect(TokenKind::Equal, "a model");
  if (!panic_) decl.layer = expression();
  if (!panic_ && accept_word("from")) decl.from = atom();
  if (!panic_) ast_.models.push_back(std::move(decl));
}

void Parser::fn_section() { function(ast::FnKind::Fn); }
void Parser::metric_section() { function(ast::FnKind::Metric); }
void Parser::export_section() { function(ast::FnKind::Export); }

// metric acc(x: f32[B, Pixel], y: ix<Class>[B]) = mean(..)
void Parser::function(ast::FnKind kind) {
  ast::FnDecl decl;
  const Span begin = previous().span;
  decl.kind = kind;
  decl.name = expect_name("a name");
  if (panic_) return;
  decl.params = params(TokenKind::OpenParen, TokenKind::CloseParen);
  if (!panic_ && accept(TokenKind::ThinArrow)) decl.result = type();
  decl.span = since(begin);
  if (!panic_) decl.body = body("a function");
  if (!panic_ && at_word("vjp")) decl.vjp = vjp_clause(kind);
  if (!panic_) ast_.fns.push_back(std::move(decl));
}

// vjp(y, ct) = (ct * b, ct * a)
ast::VjpClause Parser::vjp_clause(ast::FnKind kind) {
  ast::VjpClause clause;
  const Span begin = peek().span;
  if (kind != ast::FnKind::Fn) {
    fail("only a `fn` has a `vjp`", "write the formula as a fn and call it");
    return clause;
  }
  advance();
  expect(TokenKind::OpenParen, "a `vjp`");
  clause.result = expect_name("a name for the result");
  expect(TokenKind::Comma, "a `vjp`");
  clause.cotangent = expect_name("a name for the cotangent of the result");
  expect(TokenKind::CloseParen, "a `vjp`");
  clause.span = since(begin);
  if (!panic_) clause.body = body("a `vjp`");
  return clause;
}

ast::Body Parser::body(std::string_view what) {
  ast::Body body;
  const bool braces = at(TokenKind::OpenBrace) || peek(1).kind == TokenKind::OpenBrace;
  if (braces && (at(TokenKind::OpenBrace) || at(TokenKind::Equal) || at(TokenKind::Colon)))
    body.block = block(what);
  else if (accept(TokenKind::Equal))
    body.expr = expression();
  else
    fail(fmt::format("expected `=` or `{{` in {}, found {}", what, found()),
         at_section() ? std::string() : "`=` stands before an expression, and statements stand in `{` and `}`");
  return body;
}

// optimiser sgd(lr) for (p, g, t) { p <- p - lr * g }
void Parser::optimiser_section() {
  ast::OptimiserDecl decl;
  const Span begin = previous().span;
  decl.name = expect_name("the name of an optimiser");
  if (panic_) return;
  decl.params = params(TokenKind::OpenParen, TokenKind::CloseParen);
  expect_word("for", "an optimiser");
  expect(TokenKind::OpenParen, "an optimiser");
  decl.param = expect_name("the name of the parameter");
  expect(TokenKind::Comma, "an optimiser");
  decl.gradient = expect_name("the name of the gradient");
  expect(TokenKind::Comma, "an optimiser");
  decl.update = expect_name("the name of the number of the update");
  expect(TokenKind::CloseParen, "an optimiser");
  decl.span = since(begin);
  if (!panic_) decl.body = block("an optimiser");
  if (!panic_) ast_.optimisers.push_back(std::move(decl));
}

// objective loss(x: f32[B, Pixel]) updates enc, dec { .. }
void Parser::objective_section() {
  ast::ObjectiveDecl decl;
  const Span begin = previous().span;
  decl.name = expect_name("the name of an objective");
  if (panic_) return;
  decl.params = params(TokenKind::OpenParen, TokenKind::CloseParen);
  if (!panic_ && !at_word("updates")) {
    return fail(fmt::format("expected `updates` in an objective, found {}", found()),
                "say which models the objective trains: `updates net`");
  }
  const bool outer = std::exchange(brace_is_block_, true);
  do {
    advance();
    decl.updates.push_back(postfix());
  } while (!panic_ && at(TokenKind::Comma));
  brace_is_block_ = outer;
  decl.span = since(begin);
  if (!panic_) decl.body = block("an objective");
  ast_.objectives.push_back(std::move(decl));
}

}  // namespace smelt
