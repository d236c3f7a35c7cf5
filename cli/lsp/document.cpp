#include "cli/lsp/document.h"

#include <algorithm>
#include <iterator>

#include "frontend/ast_walk.h"
#include "frontend/library.h"
#include "frontend/parser.h"

namespace smelt::cli::lsp {
namespace {

/// Bytes and UTF-16 units of the character at `at`.
std::pair<size_t, int64_t> step(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const size_t bytes = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  return {std::min(bytes, text.size() - at), bytes == 4 ? 2 : 1};
}

/// The names that bodies and heads bind.
class Collector {
 public:
  Collector(const ast::Ast& tree, std::vector<Declared>& out) : tree_(tree), out_(out) {}

  void run() {
    for (const auto& d : tree_.dims) file(d.name);
    for (const auto& d : tree_.configs) file(d.name);
    for (const auto& d : tree_.consts) file(d.name), expr(d.value);
    for (const auto& d : tree_.models) file(d.name);
    for (const auto& d : tree_.layers) file(d.name), params(d.attributes), params(d.params), block(d.body);
    for (const auto& d : tree_.fns) {
      file(d.name), params(d.params), body(d.body);
      if (d.vjp) local(d.vjp->result), local(d.vjp->cotangent), body(d.vjp->body);
    }
    for (const auto& d : tree_.optimisers) {
      file(d.name), params(d.params), local(d.param), local(d.gradient), local(d.update), block(d.body);
    }
    for (const auto& d : tree_.objectives) file(d.name), params(d.params), block(d.body);
    for (const auto& d : tree_.data) {
      file(d.name);
      for (const ast::FieldDecl& entry : d.entries) {
        local(entry.name);
        for (const ast::Ident& split : entry.others) local(split);
      }
    }
    for (const auto& d : tree_.trains) {
      if (!d.name.empty()) file(d.name);
      for (const ast::TrainItem& item : d.items)
        if (const auto* ema = std::get_if<ast::EmaItem>(&item.node)) file(ema->name);
    }
  }

 private:
  void file(const ast::Ident& name) { out_.push_back({name.text, name.span, false, false}); }
  void local(const ast::Ident& name, bool assigned = false) { out_.push_back({name.text, name.span, true, assigned}); }

  void params(const std::vector<ast::Param>& list) {
    for (const ast::Param& p : list) local(p.name);
  }
  void body(const ast::Body& b) { b.expr.valid() ? expr(b.expr) : block(b.block); }
  void block(const ast::Block& b) {
    for (const ast::StmtId id : b.statements) statement(tree_[id]);
  }
  void statement(const ast::Stmt& s) {
    if (const auto* assign = std::get_if<ast::AssignStmt>(&s.node))
      for (const ast::Ident& name : assign->targets) local(name, true);
    if (const auto* draw = std::get_if<ast::DrawStmt>(&s.node)) local(draw->target, true);
    if (const auto* param = std::get_if<ast::ParamStmt>(&s.node))
      for (const ast::Ident& name : param->decl.names) local(name);
    if (const auto* state = std::get_if<ast::StateStmt>(&s.node))
      for (const ast::Declarator& d : state->decls)
        for (const ast::Ident& name : d.names) local(name);
    if (const auto* dims = std::get_if<ast::DimStmt>(&s.node))
      for (const ast::DimDecl& d : dims->dims) local(d.name);
    ast::for_each_child(tree_, s, [&](ast::ExprId id) { expr(id); });
  }
  void expr(ast::ExprId id) {
    if (!id.valid()) return;
    const ast::Expr& e = tree_[id];
    if (const auto* choice = std::get_if<ast::IfExpr>(&e.node)) block(choice->then_block), block(choice->else_block);
    if (const auto* repeat = std::get_if<ast::RepeatExpr>(&e.node)) local(repeat->index), block(repeat->body);
    if (const auto* scan = std::get_if<ast::ScanExpr>(&e.node)) {
      local(scan->index);
      for (const ast::Arg& carry : scan->carries) local(carry.name);
      block(scan->body);
    }
    ast::for_each_child(tree_, e, [&](ast::ExprId child) { expr(child); });
  }

  const ast::Ast& tree_;
  std::vector<Declared>& out_;
};

/// Names also stand in the message of an assertion, `"{X} channels"`: their tokens are put behind that of the text.
void add_shown_tokens(Document& document) {
  Diagnostics ignored;
  std::vector<Token> shown;
  for (const ast::Stmt& statement : document.tree.stmts) {
    const auto* assertion = std::get_if<ast::AssertStmt>(&statement.node);
    if (assertion == nullptr) continue;
    for (const ast::ExprId id : assertion->shown) {
      if (!id.valid()) continue;
      const Span span = document.tree[id].span;
      const std::string_view part = std::string_view(document.text).substr(span.begin, span.end - span.begin);
      const std::vector<Token> tokens = lex_part(part, span.file, span.begin, ignored, document.limits);
      shown.insert(shown.end(), tokens.begin(), std::prev(tokens.end()));  // without its end of the file
    }
  }
  document.tokens.insert(std::prev(document.tokens.end()), shown.begin(), shown.end());
  std::ranges::stable_sort(document.tokens, {}, [](const Token& token) { return token.span.begin; });
}

bool starts_section(const Token& token, std::string_view text) {
  static constexpr std::string_view kSections[] = {"import", "dim",       "config",   "const",  "data",
                                                   "layer",  "model",     "fn",       "metric", "export",
                                                   "train",  "optimiser", "objective"};
  const bool first_column = token.span.begin == 0 || text[token.span.begin - 1] == '\n';
  return token.kind == TokenKind::Name && first_column &&
         std::ranges::find(kSections, token.text) != std::end(kSections);
}

}  // namespace

Position position_of(std::string_view text, size_t offset) {
  Position p;
  offset = std::min(offset, text.size());
  size_t line = 0;
  for (size_t i = 0; i < offset; ++i)
    if (text[i] == '\n') ++p.line, line = i + 1;
  for (size_t at = line; at < offset;) {
    const auto [bytes, units] = step(text, at);
    at += bytes;
    p.character += units;
  }
  return p;
}

size_t offset_of(std::string_view text, Position position) {
  size_t at = 0;
  for (int64_t line = 0; line < position.line; ++line) {
    const size_t end = text.find('\n', at);
    if (end == std::string_view::npos) return text.size();
    at = end + 1;
  }
  for (int64_t seen = 0; seen < position.character && at < text.size() && text[at] != '\n';) {
    const auto [bytes, units] = step(text, at);
    at += bytes;
    seen += units;
  }
  return at;
}

std::pair<uint32_t, uint32_t> Document::section_around(size_t offset) const {
  uint32_t begin = 0, end = static_cast<uint32_t>(text.size());
  for (const uint32_t section : sections) {
    if (section <= offset) begin = section;
    if (section > offset) {
      end = section;
      break;
    }
  }
  return {begin, end};
}

std::optional<size_t> Document::name_at(size_t offset) const {
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Token& token = tokens[i];
    if (token.kind == TokenKind::Name && token.span.begin <= offset && offset <= token.span.end) return i;
  }
  return std::nullopt;
}

Document analyse(std::string uri, std::string text, const Limits& limits) {
  Document document{.uri = std::move(uri),
                    .text = std::move(text),
                    .limits = limits,
                    .sources = std::make_unique<SourceMap>(),
                    .diagnostics = Diagnostics(limits)};
  const size_t slash = document.uri.rfind('/');
  document.file = document.sources->add({document.uri.substr(slash + 1), document.text});
  FrontendOptions options{.limits = limits};
  options.on_binding = [&document](const BoundName& bound) { document.bound.push_back(bound); };
  try {
    (void)build_experiment(*document.sources, document.file, options, document.diagnostics);
  } catch (const std::exception& error) {
    document.internal_error = error.what();
  }
  Diagnostics ignored;
  document.tokens = lex(*document.sources, document.file, ignored, limits);
  document.tree = parse(*document.sources, document.file, ignored, nullptr, limits);
  add_shown_tokens(document);
  Collector(document.tree, document.declared).run();
  for (const Token& token : document.tokens)
    if (starts_section(token, document.text)) document.sections.push_back(token.span.begin);
  return document;
}

std::optional<Meaning> meaning_of(const Document& document, size_t at) {
  const Token& token = document.tokens[at];
  if (token.kind != TokenKind::Name || (at > 0 && document.tokens[at - 1].kind == TokenKind::Dot)) return std::nullopt;
  const bool label =
      at > 0 && document.tokens[at - 1].kind == TokenKind::PipeTo && document.tokens[at + 1].kind == TokenKind::Colon;
  if (label) return std::nullopt;
  const auto [begin, end] = document.section_around(token.span.begin);
  const Declared* nearest = nullptr;  // the last binding before it, else the first one behind
  const Declared* outer = nullptr;
  for (const Declared& d : document.declared) {
    if (d.name != token.text) continue;
    if (!d.local) outer = outer == nullptr ? &d : outer;
    if (!d.local || d.span.begin < begin || d.span.begin >= end) continue;
    const bool before = d.span.begin <= token.span.begin;
    if (nearest == nullptr || (before && nearest->span.begin < d.span.begin)) nearest = &d;
  }
  if (nearest != nullptr) return Meaning{Meaning::Kind::Local, nearest->name, nearest->span};
  if (outer != nullptr) return Meaning{Meaning::Kind::File, outer->name, outer->span};
  Meaning meaning{Meaning::Kind::Library, std::string(token.text), {}};
  for (uint32_t file = 0; file < document.sources->size(); ++file) {
    const SourceBuffer& buffer = document.sources->buffer(file);
    if (!buffer.embedded) continue;
    for (const std::string_view word : {"layer ", "fn ", "optimiser "}) {
      for (const char after : {'(', '{'}) {
        const std::string head = std::string(word) + meaning.name + after;
        const size_t found = buffer.text.starts_with(head) ? 0 : buffer.text.find("\n" + head);
        if (found == std::string::npos) continue;
        const auto name = static_cast<uint32_t>(found + (found == 0 ? 0 : 1) + word.size());
        meaning.span = {file, name, name + static_cast<uint32_t>(meaning.name.size())};
        return meaning;
      }
    }
  }
  return meaning;
}

}  // namespace smelt::cli::lsp
