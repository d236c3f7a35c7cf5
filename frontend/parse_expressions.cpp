// Expressions by precedence, loosest first: `|>`, or, and, not, comparisons, `..`, + -, * / @, unary -, ^,
// postfix.
#include <fmt/format.h>

#include <optional>

#include "frontend/parser_impl.h"

namespace smelt {

namespace {

using ast::BinaryOp;

struct Operator {
  int level;
  TokenKind kind;  // Name: `word`
  std::string_view word;
  BinaryOp op;
};
constexpr int kNotLevel = 2, kComparison = 3, kRange = 4, kUnaryLevel = 7;
constexpr Operator kOperators[] = {
    {0, TokenKind::Name, "or", BinaryOp::Or},
    {1, TokenKind::Name, "and", BinaryOp::And},
    {kComparison, TokenKind::EqualEqual, "", BinaryOp::Eq},
    {kComparison, TokenKind::NotEqual, "", BinaryOp::Ne},
    {kComparison, TokenKind::Less, "", BinaryOp::Lt},
    {kComparison, TokenKind::LessEqual, "", BinaryOp::Le},
    {kComparison, TokenKind::Greater, "", BinaryOp::Gt},
    {kComparison, TokenKind::GreaterEqual, "", BinaryOp::Ge},
    {kRange, TokenKind::DotDot, "", BinaryOp::Range},
    {5, TokenKind::Plus, "", BinaryOp::Add},
    {5, TokenKind::Minus, "", BinaryOp::Sub},
    {6, TokenKind::Star, "", BinaryOp::Mul},
    {6, TokenKind::Slash, "", BinaryOp::Div},
    {6, TokenKind::Percent, "", BinaryOp::Rem},
    {6, TokenKind::At, "", BinaryOp::MatMul},
};

std::optional<BinaryOp> operator_at(const Token& token, int level) {
  for (const Operator& o : kOperators) {
    if (o.level == level && o.kind == token.kind && (o.kind != TokenKind::Name || o.word == token.text)) return o.op;
  }
  return std::nullopt;
}

}  // namespace

ast::ExprId Parser::expression() {
  const Depth depth(*this);
  if (!depth.ok) return {};
  const Span begin = peek().span;
  ast::ExprId value = binary(0);
  while (!panic_ && accept(TokenKind::PipeTo)) {
    ast::PipeExpr pipe{value, {}, {}};
    if (at(TokenKind::Name) && peek(1).kind == TokenKind::Colon) {
      pipe.label = expect_name("a label");
      advance();
    }
    pipe.stage = at_word("repeat") && peek(1).kind == TokenKind::Name ? repeat_expr() : postfix();
    value = make(std::move(pipe), begin);
  }
  return value;
}

/// Operators of `level` and tighter. A line that starts with an operator continues the one before, except
/// with `-`.
ast::ExprId Parser::binary(int level) {
  if (level == kUnaryLevel) return unary();
  const Span begin = peek().span;
  if (level == kNotLevel && at_word("not")) {
    const Depth depth(*this);
    if (!depth.ok) return {};
    advance();
    const ast::ExprId operand = binary(kNotLevel);
    return make(ast::UnaryExpr{ast::UnaryOp::Not, operand}, begin);
  }
  const bool is_type = at_word("ix");
  ast::ExprId lhs = binary(level + 1);
  while (!panic_) {
    const std::optional<BinaryOp> op = operator_at(peek(), level);
    if (!op || (*op == BinaryOp::Sub && on_new_line())) break;
    const Span op_span = peek().span;
    advance();
    const bool open = *op == BinaryOp::Range && (at(TokenKind::CloseBracket) || at(TokenKind::Comma));
    const ast::ExprId rhs = open ? ast::ExprId{} : binary(level + 1);
    lhs = make(ast::BinaryExpr{*op, lhs, rhs, op_span}, begin);
    if (level == kComparison && operator_at(peek(), level)) {
      if (is_type)
        fail("`ix<..>` is a type, and no value",
             "`cast(y, i32)` makes whole numbers of labels, which are positions along any axis that is long enough");
      else
        fail("comparisons cannot be chained", "write `a < b and b < c`");
    }
    if (level == kRange) break;
  }
  return lhs;
}

/// `.. n` of an index, from its beginning.
ast::ExprId Parser::open_range() {
  const Span begin = peek().span;
  advance();
  const bool open = at(TokenKind::CloseBracket) || at(TokenKind::Comma);
  const ast::ExprId rhs = open ? ast::ExprId{} : binary(kRange + 1);
  return make(ast::BinaryExpr{BinaryOp::Range, {}, rhs, begin}, begin);
}

ast::ExprId Parser::unary() {
  const Span begin = peek().span;
  if (!accept(TokenKind::Minus)) return power();
  const Depth depth(*this);
  if (!depth.ok) return {};
  const ast::ExprId operand = unary();
  return make(ast::UnaryExpr{ast::UnaryOp::Neg, operand}, begin);
}

// a ^ b ^ c = a ^ (b ^ c);  -a ^ b = -(a ^ b)
ast::ExprId Parser::power() {
  const Span begin = peek().span;
  const ast::ExprId base = postfix();
  if (panic_ || !at(TokenKind::Caret)) return base;
  const Depth depth(*this);
  if (!depth.ok) return {};
  const Span op_span = peek().span;
  advance();
  const ast::ExprId exponent = unary();
  return make(ast::BinaryExpr{BinaryOp::Pow, base, exponent, op_span}, begin);
}

ast::ExprId Parser::postfix() {
  const Span begin = peek().span;
  return postfix_tail(atom(), begin);
}

ast::ExprId Parser::postfix_tail(ast::ExprId base, Span begin) {
  while (!panic_ && !on_new_line()) {
    if (at(TokenKind::OpenParen)) {
      base = make(ast::CallExpr{base, args(TokenKind::OpenParen, TokenKind::CloseParen)}, begin);
    } else if (at(TokenKind::OpenBrace) && !brace_is_block_) {
      base = make(ast::AttrExpr{base, args(TokenKind::OpenBrace, TokenKind::CloseBrace)}, begin);
    } else if (at(TokenKind::OpenBracket) || at(TokenKind::BoundedIndex)) {
      ast::IndexExpr index{base, {}, at(TokenKind::BoundedIndex)};
      bracketed(peek().kind, TokenKind::CloseBracket, "an index", [&] {
        if (!at(TokenKind::Colon)) index.indices.push_back(at(TokenKind::DotDot) ? open_range() : expression_or_rest());
        if (!panic_ && at(TokenKind::Colon))
          fail("a part of an axis is written with `..`, not `:`",
               "`x[a .. b]` is a part, `x[1 ..]` all but the first, and `x[.., 0]` reads all of the axis in front");
      });
      base = make(std::move(index), begin);
    } else if (at(TokenKind::Dot)) {
      advance();
      base = member(base, begin);
    } else if (at_word("as") && peek(1).kind == TokenKind::OpenBracket) {
      advance();
      base = make(ast::AsExpr{base, dim_items()}, begin);
    } else {
      break;
    }
  }
  return base;
}

/// `.name`, `.0` of what a `repeat` applies, `.*`, `.**`; in a selector a name may touch stars: `W*`.
ast::ExprId Parser::member(ast::ExprId base, Span begin) {
  ast::MemberExpr result{base, {}};
  result.name.span = peek().span;
  const auto* outer = ast_.as<ast::MemberExpr>(base);
  const bool selector = outer != nullptr && outer->name.text.find('*') != std::string::npos;
  if (at(TokenKind::StarStar)) {
    result.name.text = "**";
    advance();
  } else if (at(TokenKind::Integer)) {
    result.name.text = peek().text;
    advance();
  } else if (at(TokenKind::Star) || (selector && at(TokenKind::Name))) {
    do {
      result.name.text += peek().text;
      advance();
    } while ((at(TokenKind::Star) || at(TokenKind::Name)) && !peek().space_before);
  } else {
    result.name = expect_name("a name, a number, `*` or `**`");
  }
  result.name.span = join(result.name.span, previous().span);
  return make(std::move(result), begin);
}

ast::ExprId Parser::atom() {
  if (panic_) return {};
  const Span begin = peek().span;
  if (at_next_line()) {
    diagnostics_
        .report(Diag::E0006, previous().span,
                fmt::format("expected an expression behind `{}`, found the next line", printable(previous().text)))
        .label(begin, "the next line begins here");
    panic_ = true;
    return {};
  }
  switch (peek().kind) {
    case TokenKind::Integer:
    case TokenKind::Float: return number();
    case TokenKind::String: {
      advance();
      return make(ast::StringExpr{unescape(previous(), diagnostics_)}, begin);
    }
    case TokenKind::OpenParen: return parenthesised();
    case TokenKind::OpenBracket: return make(ast::ListExpr{dim_items()}, begin);
    case TokenKind::Name: break;
    default: fail(fmt::format("expected an expression, found {}", found())); return {};
  }
  if (at_word("if")) return if_expr();
  if (at_word("scan") && peek(1).kind == TokenKind::Name) return scan_expr();
  if (at_word("repeat") && peek(1).kind == TokenKind::Name) {
    fail("`repeat` stands only after `|>`", "write `x |> repeat i < n { .. }`");
    return {};
  }
  const std::string_view word = peek().text;
  const bool reduction = word == "sum" || word == "max" || word == "min" || word == "prod";
  if (reduction && peek(1).kind == TokenKind::OpenBracket) return index_reduction();
  advance();
  return make(ast::NameExpr{std::string(word)}, begin);
}

ast::ExprId Parser::number() {
  const Token& token = peek();
  advance();
  return make(ast::NumberExpr{token.number, token.integer, token.kind == TokenKind::Integer}, token.span);
}

/// Inside `(B, ...S)` and `dist[B, ...S]`: the other axes are a list of their own.
ast::ExprId Parser::expression_or_rest() {
  if (!at(TokenKind::Ellipsis)) return expression();
  const Span begin = peek().span;
  ast::ListExpr rest;
  rest.items.push_back(dim_item());
  return make(std::move(rest), begin);
}

// (e) or (a, b)
ast::ExprId Parser::parenthesised() {
  const Span begin = peek().span;
  ast::TupleExpr tuple;
  bool comma = false;
  bracketed(TokenKind::OpenParen, TokenKind::CloseParen, "parentheses", [&] {
    tuple.items.push_back(expression_or_rest());
    comma = comma || at(TokenKind::Comma);
  });
  if (panic_) return {};
  if (tuple.items.size() == 1 && !comma) return tuple.items[0];
  return make(std::move(tuple), begin);
}

/// The condition or count before a block, where `{` opens the block.
ast::ExprId Parser::head_expression() {
  const bool outer = std::exchange(brace_is_block_, true);
  const ast::ExprId head = binary(0);
  brace_is_block_ = outer;
  return head;
}

ast::ExprId Parser::if_expr() {
  const Depth depth(*this);
  if (!depth.ok) return {};
  const Span begin = peek().span;
  advance();
  ast::IfExpr result;
  result.condition = head_expression();
  if (!panic_) result.then_block = block("if");
  if (panic_) return {};
  if (!accept_word("else")) {
    fail(fmt::format("expected `else` after the block of `if`, found {}", found()),
         "`if` is a value, so it has two branches");
    return {};
  }
  if (at_word("if")) {  // else if
    const Span start = peek().span;
    const ast::ExprId nested = if_expr();
    if (panic_) return {};
    ast_.stmts.push_back({ast::ExprStmt{nested}, since(start)});
    result.else_block = {{ast::StmtId{static_cast<uint32_t>(ast_.stmts.size() - 1)}}, since(start)};
  } else {
    result.else_block = block("else");
  }
  return make(std::move(result), begin);
}

// repeat i < depth { Block{p} }
ast::ExprId Parser::repeat_expr() {
  const Span begin = peek().span;
  advance();
  ast::RepeatExpr result;
  result.index = expect_name("the name of an index");
  expect(TokenKind::Less, "repeat");
  if (panic_) return {};
  result.count = head_expression();
  if (!panic_) result.body = block("repeat");
  return make(std::move(result), begin);
}

// scan t < T with h = e, c = e { .. }    scan t < T reverse with ..    scan t < T by position with ..
// scan t < T with h = e until c { .. }
ast::ExprId Parser::scan_expr() {
  const Depth depth(*this);
  if (!depth.ok) return {};
  const Span begin = peek().span;
  advance();
  ast::ScanExpr result;
  result.index = expect_name("the name of an index");
  expect(TokenKind::Less, "scan");
  if (panic_) return {};
  result.count = head_expression();
  result.reverse = accept_word("reverse");
  result.by_position = !result.reverse && accept_word("by");
  if (result.by_position) expect_word("position", "scan");
  expect_word("with", "scan");
  do {
    ast::Arg carry;
    carry.name = expect_name("the name of a carried value");
    expect(TokenKind::Equal, "scan");
    if (!panic_) carry.value = head_expression();
    result.carries.push_back(std::move(carry));
  } while (!panic_ && accept(TokenKind::Comma));
  if (!panic_ && accept_word("until")) result.until = head_expression();
  if (!panic_) result.body = block("scan");
  return make(std::move(result), begin);
}

// sum[c < C, u < k] x[n, c] * w[c]: the body is a product
ast::ExprId Parser::index_reduction() {
  const Depth depth(*this);
  if (!depth.ok) return {};
  const Span begin = peek().span;
  ast::ReduceExpr result;
  result.op = peek().text;
  advance();
  result.binders = index_binders();
  if (!panic_) result.body = binary(6);
  return make(std::move(result), begin);
}

ast::Arg Parser::arg() {
  ast::Arg result;
  if (at(TokenKind::Ellipsis)) {
    advance();
    result.spread = true;
    const ast::Ident name = expect_name("the name of the other axes");
    result.value = make(ast::NameExpr{name.text}, name.span);
    return result;
  }
  if (at(TokenKind::Name) && peek(1).kind == TokenKind::Equal) {
    result.name = expect_name("a name");
    advance();
  }
  result.value = expression();
  return result;
}

std::vector<ast::Arg> Parser::args(TokenKind open, TokenKind close) {
  std::vector<ast::Arg> list;
  if (braces_ != nullptr && open == TokenKind::OpenBrace) braces_->push_back({peek().span.begin, false});
  bracketed(open, close, open == TokenKind::OpenBrace ? "attributes" : "arguments", [&] { list.push_back(arg()); });
  return list;
}

std::vector<ast::DimItem> Parser::dim_items() {
  std::vector<ast::DimItem> items;
  bracketed(TokenKind::OpenBracket, TokenKind::CloseBracket, "a list of dims", [&] { items.push_back(dim_item()); });
  return items;
}

ast::DimItem Parser::dim_item() {
  const Depth depth(*this);
  if (!depth.ok) return {};
  ast::DimItem item;
  const Span begin = peek().span;
  item.rest = accept(TokenKind::Ellipsis);
  if (!item.rest)
    item.extent = binary(0);
  else if (at(TokenKind::Name))
    item.rest_name = expect_name("a name");
  item.span = since(begin);
  return item;
}

// f32[B, Pixel]   ix<Class>[B]   Normal[..., Z]   (f32[A], f32[B])
ast::TypeId Parser::type() {
  const Depth depth(*this);
  if (!depth.ok) return {};
  ast::Type result;
  const Span begin = peek().span;
  if (at(TokenKind::OpenParen)) {
    bracketed(TokenKind::OpenParen, TokenKind::CloseParen, "a type", [&] { result.tuple.push_back(type()); });
  } else {
    result.head = expect_name("a type");
    if (!panic_ && accept(TokenKind::Less)) {
      if (at(TokenKind::Integer))
        fail(fmt::format("expected the name of a dim, found {}", found()),
             fmt::format("labels are of a dim: `dim Class = {}`, and `ix<Class>`", peek().text));
      result.index_dim = expect_name("the name of a dim");
      expect(TokenKind::Greater, "an index type");
    }
    result.has_dims = !panic_ && at(TokenKind::OpenBracket) && !on_new_line();
    if (result.has_dims) result.dims = dim_items();
  }
  result.span = since(begin);
  ast_.types.push_back(std::move(result));
  return {static_cast<uint32_t>(ast_.types.size() - 1)};
}

}  // namespace smelt
