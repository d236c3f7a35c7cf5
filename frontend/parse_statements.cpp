// Blocks and the statements inside them.
#include <fmt/format.h>

#include "frontend/parser_impl.h"

namespace smelt {

ast::Block Parser::block(std::string_view what) {
  ast::Block result;
  const Depth depth(*this);
  if (!depth.ok) return result;
  result.span = braced(what, [&] {
    const ast::StmtId id = statement();
    if (id.valid()) result.statements.push_back(id);
  });
  return result;
}

/// What stands between braces of the message of an assertion: expressions. What is none stays text.
std::vector<ast::ExprId> Parser::shown_values(const Token& message) {
  std::vector<ast::ExprId> shown;
  for (size_t at = 0; at < message.text.size();) {
    const size_t open = message.text.find('{', at), close = message.text.find('}', open);
    if (open == std::string_view::npos || close == std::string_view::npos) break;
    shown.push_back(part_of_text(message, open + 1, close));
    at = close + 1;
  }
  return shown;
}

ast::ExprId Parser::part_of_text(const Token& token, size_t begin, size_t end) {
  const auto in_file = static_cast<uint32_t>(token.span.begin + 1 + begin);  // behind the quote
  Diagnostics ignored;
  Parser part(lex_part(token.text.substr(begin, end - begin), token.span.file, in_file, ignored, limits_), ignored,
              limits_);
  part.ast_ = std::move(ast_);
  part.heights_ = std::move(heights_);
  const ast::ExprId id = part.at(TokenKind::EndOfFile) ? ast::ExprId() : part.expression();
  const bool is_all = !part.panic_ && !ignored.has_errors() && part.at(TokenKind::EndOfFile);
  ast_ = std::move(part.ast_);
  heights_ = std::move(part.heights_);
  return is_all ? id : ast::ExprId();
}

ast::StmtId Parser::statement() {
  const Span begin = peek().span;
  decltype(ast::Stmt::node) node;
  if (at_head_of_section())
    refuse_section_in_body();
  else if (at_keyword("param"))
    node = param_stmt();
  else if (at_keyword("state"))
    node = state_stmt();
  else if (at_keyword("report"))
    node = report_stmt();
  else if (at_keyword("dim"))
    advance(), node = ast::DimStmt{dim_decls()};
  else if (at_word("yield") && !at_assignment())
    advance(), node = ast::YieldStmt{expression()};
  else if (at_word("assert") && !at_assignment()) {
    ast::AssertStmt assertion;
    advance();
    assertion.condition = expression();
    expect(TokenKind::Comma, "an assertion");
    if (at(TokenKind::String)) assertion.shown = shown_values(peek());
    if (!panic_) assertion.message = atom();
    node = assertion;
  } else if (at_bare_tuple())
    node = bare_tuple();
  else if (at_tuple_assignment())
    node = tuple_assign();
  else if (at_formula())
    node = formula_assign();
  else if (at_assignment())
    node = binding_stmt();
  else
    node = ast::ExprStmt{expression()};
  if (panic_) return {};
  ast_.stmts.push_back({std::move(node), since(begin)});
  return {static_cast<uint32_t>(ast_.stmts.size() - 1)};
}

/// `W, b: f32[In, out] ~ glorot_uniform()`; optimisers leave the type out.
ast::Declarator Parser::declarator(std::string_view what) {
  ast::Declarator decl;
  do decl.names.push_back(expect_name("a name"));
  while (!panic_ && accept(TokenKind::Comma));
  if (!panic_ && accept(TokenKind::Colon)) decl.type = type();
  if (panic_) return decl;
  decl.random = accept(TokenKind::Tilde);
  if (!decl.random && !accept(TokenKind::Equal)) {
    fail(fmt::format("expected `=` or `~` in {}, found {}", what, found()),
         "`= zeros()` gives a fixed start value, `~ Normal(0, 0.02)` a random one");
    return decl;
  }
  decl.init = expression();
  return decl;
}

ast::ParamStmt Parser::param_stmt() {
  advance();
  ast::ParamStmt stmt{declarator("a param line")};
  if (!panic_ && !stmt.decl.type.valid())
    fail("a `param` needs a type", "write `param W: f32[In, out] ~ glorot_uniform()`");
  if (!panic_ && !on_new_line() && accept_word("if")) stmt.decl.condition = binary(0);
  return stmt;
}

ast::StateStmt Parser::state_stmt() {
  ast::StateStmt stmt;
  advance();
  do stmt.decls.push_back(declarator("a state line"));
  while (!panic_ && accept(TokenKind::Comma));
  return stmt;
}

// report gap, rate = mean(rate)
ast::ReportStmt Parser::report_stmt() {
  ast::ReportStmt stmt;
  advance();
  do {
    ast::Arg item;
    item.name = expect_name("the name of a report");
    if (panic_) break;
    if (accept(TokenKind::Equal))
      item.value = expression();
    else
      item.value = make(ast::NameExpr{item.name.text}, item.name.span);
    stmt.items.push_back(std::move(item));
  } while (!panic_ && accept(TokenKind::Comma));
  return stmt;
}

bool Parser::at_assignment() const {
  if (!at(TokenKind::Name)) return false;
  const TokenKind next = peek(1).kind;
  return next == TokenKind::Equal || next == TokenKind::Tilde || next == TokenKind::LeftArrow;
}

/// The index of the token after the bracket that opens at `at_ + ahead`.
static size_t after_bracket(const std::vector<Token>& tokens, size_t i) {
  int depth = 0;
  for (; i < tokens.size(); ++i) {
    const TokenKind kind = tokens[i].kind;
    if (kind == TokenKind::OpenParen || kind == TokenKind::OpenBracket) ++depth;
    if ((kind == TokenKind::CloseParen || kind == TokenKind::CloseBracket) && --depth == 0) return i + 1;
    if (kind == TokenKind::OpenBrace || kind == TokenKind::CloseBrace) break;
  }
  return tokens.size() - 1;
}

bool Parser::at_tuple_assignment() const {
  return at(TokenKind::OpenParen) && tokens_[after_bracket(tokens_, at_)].kind == TokenKind::Equal;
}

/// `mu, lv = e` on one line: meant as `(mu, lv) = e`.
bool Parser::at_bare_tuple() const {
  size_t ahead = 0;
  while (peek(ahead).kind == TokenKind::Name && peek(ahead + 1).kind == TokenKind::Comma &&
         !peek(ahead + 2).newline_before)
    ahead += 2;
  return ahead > 0 && peek(ahead).kind == TokenKind::Name && peek(ahead + 1).kind == TokenKind::Equal;
}

/// Reports the missing parentheses and reads the line as if they were there.
ast::AssignStmt Parser::bare_tuple() {
  ast::AssignStmt stmt;
  stmt.tuple = true;
  const Span begin = peek().span;
  std::string names;
  do {
    stmt.targets.push_back(expect_name("a name"));
    names += (names.empty() ? "" : ", ") + stmt.targets.back().text;
  } while (accept(TokenKind::Comma));
  diagnostics_.report(Diag::E0006, since(begin), "several names are bound without parentheses")
      .with_help(fmt::format("write `({}) = ..`", names));
  expect(TokenKind::Equal, "an assignment");
  if (!panic_) stmt.value = expression();
  return stmt;
}

bool Parser::at_formula() const {
  return at(TokenKind::Name) && peek(1).kind == TokenKind::OpenBracket &&
         tokens_[after_bracket(tokens_, at_ + 1)].kind == TokenKind::Equal;
}

// x = e    z ~ dist over K    m <- e when training
decltype(ast::Stmt::node) Parser::binding_stmt() {
  const ast::Ident target = expect_name("a name");
  const TokenKind how = peek().kind;
  advance();
  const ast::ExprId value = expression();
  if (how == TokenKind::Equal) return ast::AssignStmt{{target}, false, {}, false, value};
  if (how == TokenKind::Tilde) {
    ast::DrawStmt draw{target, value, {}};
    if (panic_ || on_new_line() || !accept_word("over")) return draw;
    if (at(TokenKind::Equal)) {
      fail("expected the axes of the draws behind `over`, found `=`", "`z ~ q over K`, or `z ~ q over (K, L)`");
      return draw;
    }
    draw.over = postfix();
    return draw;
  }
  ast::WriteStmt write{target, value, {}};
  if (!panic_ && !on_new_line() && accept_word("when")) write.when = binary(0);
  return write;
}

// (a, b) = e
ast::AssignStmt Parser::tuple_assign() {
  ast::AssignStmt stmt;
  stmt.tuple = true;
  bracketed(TokenKind::OpenParen, TokenKind::CloseParen, "a tuple of names", [&] {
    if (at(TokenKind::OpenParen))
      fail("a tuple inside of a tuple has a line of its own", "`(a, rest) = ..`, then `(b, c) = rest`");
    else
      stmt.targets.push_back(expect_name("a name"));
  });
  expect(TokenKind::Equal, "an assignment");
  if (!panic_) stmt.value = expression();
  return stmt;
}

// y[n < B, o < out] = sum[c < C] x[n, c] * W[c, o]
ast::AssignStmt Parser::formula_assign() {
  ast::AssignStmt stmt;
  stmt.formula = true;
  stmt.targets.push_back(expect_name("a name"));
  stmt.binders = index_binders();
  expect(TokenKind::Equal, "an index formula");
  if (!panic_) stmt.value = expression();
  return stmt;
}

std::vector<ast::IndexBinder> Parser::index_binders() {
  std::vector<ast::IndexBinder> binders;
  bracketed(TokenKind::OpenBracket, TokenKind::CloseBracket, "the indices of a formula", [&] {
    ast::IndexBinder binder;
    binder.name = expect_name("the name of an index");
    if (!panic_ && accept(TokenKind::Less)) binder.extent = binary(4);
    binders.push_back(std::move(binder));
  });
  return binders;
}

}  // namespace smelt
