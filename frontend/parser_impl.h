// The parser's class; its members are defined in parser.cpp (helpers), parse_sections.cpp, parse_train.cpp,
// parse_statements.cpp and parse_expressions.cpp.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "frontend/ast.h"
#include "frontend/lexer.h"
#include "frontend/parser.h"

namespace smelt {

/// Thrown nowhere: a failed rule sets `panic_`, its callers return what they have, and a loop over statements
/// or sections calls `recover_*` to clear it.
class Parser {
 public:
  Parser(std::vector<Token> tokens, Diagnostics& diagnostics, const Limits& limits,
         std::vector<AttributeBrace>* braces = nullptr)
      : tokens_(std::move(tokens)), diagnostics_(diagnostics), limits_(limits), braces_(braces) {}

  ast::Ast parse_file();

 private:
  // ---- parser.cpp: tokens ----
  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  const Token& previous() const { return tokens_[at_ == 0 ? 0 : at_ - 1]; }
  bool at(TokenKind kind) const { return peek().kind == kind; }
  bool at_word(std::string_view word) const { return at(TokenKind::Name) && peek().text == word; }
  /// A word that is a keyword here rather than a name that is bound, called or selected from.
  bool at_keyword(std::string_view word) const;
  bool accept(TokenKind kind);
  bool accept_word(std::string_view word);
  bool expect(TokenKind kind, std::string_view where);
  bool expect_word(std::string_view word, std::string_view where);
  ast::Ident expect_name(std::string_view what);
  void advance();
  void fail(std::string message, std::string help = {});
  std::string found() const;
  Span since(Span begin) const { return join(begin, previous().span); }
  /// Whether the running statement ends before the current token.
  bool at_end_of_statement() const;
  bool on_new_line() const { return open_brackets_ == 0 && peek().newline_before; }
  void finish_statement(std::string_view what);
  bool at_operator_behind_pipe() const;
  void report_before_brace(std::string_view where);
  std::string help_for_type() const;
  std::string_view help_for_sign() const;
  std::string help_for_rest(std::string_view what) const;
  bool begins_value() const;
  bool at_word_of_line() const;
  bool at_next_line() const;
  void report_open(TokenKind open, TokenKind close, Span opening, std::string_view what);
  void recover_statement();
  void recover_section();
  bool at_head_of_section() const;
  /// Whether a section begins here, on a line that is indented no further than the section around it: then a block that
  /// is still open lacks its `}`.
  bool at_section() const;
  void refuse_section_in_body();
  void report_unclosed(Span opening, std::string_view what, TokenKind closing);

  /// `open item, item close`, a trailing comma allowed; newlines mean nothing inside.
  template <typename Item>
  void bracketed(TokenKind open, TokenKind close, std::string_view what, Item item);
  /// `{ line line }`: each call of `line` reads one entry, ended by a newline or `;`.
  template <typename Line>
  Span braced(std::string_view what, Line line);

  // ---- parse_sections.cpp ----
  struct Section;
  static std::span<const Section> sections();
  void section();
  std::string help_for_section() const;
  void import_section();
  void dim_section();
  void config_section();
  void const_section();
  void data_section();
  void layer_section();
  void model_section();
  void fn_section();
  void metric_section();
  void export_section();
  void function(ast::FnKind kind);
  ast::VjpClause vjp_clause(ast::FnKind kind);
  void optimiser_section();
  void objective_section();
  std::vector<ast::Param> params(TokenKind open, TokenKind close);
  ast::Param param();
  ast::Body body(std::string_view what);
  std::vector<ast::DimDecl> dim_decls();

  // ---- parse_train.cpp ----
  void train_section();
  std::string help_for_train_line() const;
  ast::TrainItem train_item();
  ast::BatchItem batch_item();
  ast::StepGroup step_group();
  ast::LoopItem loop_item();
  ast::StopItem stop_item();
  ast::SlowItem slow_item();
  void no_better(ast::Ident& direction, ast::Ident& metric, ast::ExprId& evaluations, std::string_view line);
  void best_of(ast::Ident& direction, ast::Ident& metric);
  ast::LoopGroup loop_group();
  ast::LoopEntry loop_entry();
  ast::EmaItem ema_item();
  ast::EveryItem every_item();
  ast::Action action();
  ast::OutputAction output_action(ast::OutputKind kind);
  ast::CheckpointAction checkpoint_action();

  // ---- parse_statements.cpp ----
  ast::Block block(std::string_view what);
  std::vector<ast::ExprId> shown_values(const Token& message);
  ast::ExprId part_of_text(const Token& token, size_t begin, size_t end);
  ast::StmtId statement();
  ast::ParamStmt param_stmt();
  ast::StateStmt state_stmt();
  ast::ReportStmt report_stmt();
  bool at_assignment() const;
  bool at_tuple_assignment() const;
  bool at_bare_tuple() const;
  ast::AssignStmt bare_tuple();
  bool at_formula() const;
  decltype(ast::Stmt::node) binding_stmt();
  ast::AssignStmt tuple_assign();
  ast::AssignStmt formula_assign();
  ast::Declarator declarator(std::string_view what);
  std::vector<ast::IndexBinder> index_binders();

  // ---- parse_expressions.cpp ----
  ast::ExprId expression();
  ast::ExprId binary(int level);
  ast::ExprId open_range();
  ast::ExprId unary();
  ast::ExprId power();
  ast::ExprId postfix();
  ast::ExprId postfix_tail(ast::ExprId base, Span begin);
  ast::ExprId member(ast::ExprId base, Span begin);
  ast::ExprId atom();
  ast::ExprId number();
  ast::ExprId parenthesised();
  ast::ExprId expression_or_rest();
  ast::ExprId if_expr();
  ast::ExprId repeat_expr();
  ast::ExprId scan_expr();
  ast::ExprId index_reduction();
  ast::ExprId head_expression();
  std::vector<ast::Arg> args(TokenKind open, TokenKind close);
  ast::Arg arg();
  std::vector<ast::DimItem> dim_items();
  ast::DimItem dim_item();
  ast::TypeId type();

  template <typename Node>
  ast::ExprId make(Node node, Span begin) {
    ast_.exprs.push_back({std::move(node), since(begin)});
    note_height(begin);
    return {static_cast<uint32_t>(ast_.exprs.size() - 1)};
  }

  /// Chains such as a + b + c + .. nest to the left without recursion here, but later stages walk them
  /// recursively.
  void note_height(Span begin);

  /// Counts nesting while it lives; `ok` is false at the limit.
  struct Depth {
    explicit Depth(Parser& p);
    ~Depth() { --parser.depth_; }
    Parser& parser;
    bool ok;
  };

  std::vector<Token> tokens_;
  Diagnostics& diagnostics_;
  const Limits limits_;
  ast::Ast ast_;
  std::vector<AttributeBrace>* braces_;
  std::vector<uint64_t> heights_;  // of ast_.exprs
  size_t at_ = 0;
  std::string_view form_ = {};              // of the line of a train section at hand: what an error of its syntax shows
  size_t statement_at_ = 0;                 // the first token of the running statement
  size_t section_column_ = 0;               // of the first token of the running section
  size_t unclosed_at_ = std::string::npos;  // the token that ended an unclosed bracket: reported once
  uint64_t depth_ = 0;
  int open_brackets_ = 0;        // ( [ and attribute { around the current token, within the innermost block
  bool brace_is_block_ = false;  // in the head of repeat, scan, if
  bool panic_ = false;
};

template <typename Item>
void Parser::bracketed(TokenKind open, TokenKind close, std::string_view what, Item item) {
  const Span opening = peek().span;
  if (!expect(open, what)) return;
  ++open_brackets_;
  const bool outer = std::exchange(brace_is_block_, false);
  while (!panic_ && !at(close)) {
    item();
    if (panic_ || !accept(TokenKind::Comma)) break;
  }
  brace_is_block_ = outer;
  --open_brackets_;
  if (!panic_ && !accept(close)) report_open(open, close, opening, what);
}

template <typename Line>
Span Parser::braced(std::string_view what, Line line) {
  const Span opening = peek().span;
  if (!expect(TokenKind::OpenBrace, what)) return opening;
  const int brackets = std::exchange(open_brackets_, 0);
  const bool outer = std::exchange(brace_is_block_, false);
  while (true) {
    while (accept(TokenKind::Semicolon)) {
    }
    statement_at_ = at_;
    if (at(TokenKind::CloseBrace) || at(TokenKind::EndOfFile) || at_section()) break;
    const size_t before = at_;
    line();
    if (!panic_) finish_statement(what);
    if (at_ == before) advance();  // a word that no line begins with: the rest of its line is skipped with it
    if (panic_) recover_statement();
  }
  open_brackets_ = brackets;
  brace_is_block_ = outer;
  if (!accept(TokenKind::CloseBrace))
    report_unclosed(opening, "the `{` of " + std::string(what), TokenKind::CloseBrace);
  return since(opening);
}

}  // namespace smelt
