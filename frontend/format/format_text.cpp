// Writes pieces in lines: indents by the brackets and statements around, comments at the ends of neighbouring lines
// below each other.
#include "frontend/format/format_text.h"

#include <algorithm>
#include <array>

#include "frontend/ast.h"
#include "frontend/format/pieces.h"
#include "ir/support/check.h"

namespace smelt {

namespace {

using format::Piece;
using format::Role;
using enum TokenKind;

constexpr size_t kIndent = 2, kHeadIndent = 4;
constexpr size_t kFarRight = 60;   // brackets that open behind this column are followed by an indent
constexpr size_t kLongLine = 100;  // comments of longer lines do not move those of their neighbours

struct Line {
  std::string text;     // without the comment at its end
  std::string comment;  // at its end
};

size_t width_of(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool is_section(const Piece& piece) {
  static constexpr std::array<std::string_view, 13> kSections = {"import", "dim",       "config",   "const",  "data",
                                                                 "layer",  "model",     "fn",       "metric", "export",
                                                                 "train",  "optimiser", "objective"};
  return piece.kind == Name && std::ranges::find(kSections, piece.text) != kSections.end();
}

class Layout {
 public:
  explicit Layout(const std::vector<Piece>& pieces) : pieces_(pieces) {}

  std::string run() {
    for (size_t i = 0; i < pieces_.size(); ++i) {
      const Piece& piece = pieces_[i];
      if (piece.begins_line || piece.kind == EndOfFile) begin_line(i);
      if (piece.kind == EndOfFile) break;
      if (!piece.begins_line && format::space_between(pieces_, i - 1)) line_.text += ' ';
      if (format::opens(piece.kind)) open(i);
      line_.text += piece.text;
      if (format::closes(piece.kind) && !stack_.empty()) close();
      line_.comment = piece.trailing;
    }
    end_line();
    return joined();
  }

 private:
  struct Open {
    size_t inner = 0;  // indent of the lines within
    size_t outer = 0;  // of the bracket that closes it
    size_t statement = 0;
    bool block = false;
  };
  enum class Begins : uint8_t { Statement, Expression, Head, Opening, Closing, Item };

  void end_line() {
    if (line_.text.find_first_not_of(' ') != std::string::npos || !line_.comment.empty()) lines_.push_back(line_);
    line_ = {};
  }

  bool in_block() const { return stack_.empty() || stack_.back().block; }

  Begins how_it_begins(size_t i) const {
    const Piece& piece = pieces_[i];
    if (format::closes(piece.kind) && !stack_.empty()) return Begins::Closing;
    if (!in_block()) return Begins::Item;
    if (i == 0 || piece.kind == EndOfFile) return Begins::Statement;
    const Piece& before = pieces_[i - 1];
    if (before.kind == Semicolon || (before.kind == OpenBrace && before.role == Role::Block)) return Begins::Statement;
    if (before.kind == Comma) return Begins::Head;
    if (piece.kind == OpenBrace && piece.role == Role::Block) return Begins::Opening;
    static constexpr std::array<std::string_view, 4> kJoins = {"and", "or", "not", "in"};
    const bool after_word = before.kind == Name && std::ranges::find(kJoins, before.text) != kJoins.end();
    if (format::is_operator(before.kind) || after_word) return Begins::Expression;
    if (piece.names("and") || piece.names("or")) return Begins::Expression;
    if (format::is_operator(piece.kind) && piece.kind != Minus && piece.kind != ThinArrow) return Begins::Expression;
    if (stack_.empty() && !is_section(piece)) return piece.names("vjp") ? Begins::Expression : Begins::Head;
    return Begins::Statement;
  }

  size_t indent_of(Begins begins) const {
    const size_t base = stack_.empty() ? 0 : stack_.back().inner;
    switch (begins) {
      case Begins::Closing: return stack_.back().outer;
      case Begins::Opening: return statement_;
      case Begins::Expression: return statement_ + kIndent;
      case Begins::Head: return statement_ + kHeadIndent;
      case Begins::Statement:
      case Begins::Item: return base;
    }
    return base;
  }

  void blank_line() {
    if (lines_.empty() || lines_.back().text.empty()) return;
    lines_.push_back({});
  }

  void begin_line(size_t i) {
    end_line();
    const Piece& piece = pieces_[i];
    const Begins begins = how_it_begins(i);
    if (begins == Begins::Statement) statement_ = indent_of(begins);
    const bool opened = i > 0 && pieces_[i - 1].kind == OpenBrace;
    const size_t comments_at = begins == Begins::Closing ? stack_.back().inner : indent_of(begins);
    for (size_t k = 0; k < piece.comments.size(); ++k) {
      if (piece.comments[k].blank_before && !(opened && k == 0)) blank_line();
      lines_.push_back({std::string(comments_at, ' ') + piece.comments[k].text, {}});
    }
    const bool first = opened && piece.comments.empty();
    if (piece.blank_before && begins != Begins::Closing && !first && piece.kind != EndOfFile) blank_line();
    line_indent_ = indent_of(begins);
    in_head_ = begins == Begins::Head;
    line_.text = std::string(line_indent_, ' ');
  }

  /// What follows on the line stands below each other; what begins on the next one is indented.
  void open(size_t i) {
    const bool last = pieces_[i + 1].begins_line || width_of(line_.text) > kFarRight;
    const bool block = pieces_[i].role == Role::Block;
    const size_t base = block && in_head_ ? statement_ : line_indent_;
    const size_t column = width_of(line_.text) + pieces_[i].text.size() + (block ? 1 : 0);
    stack_.push_back({last ? base + kIndent : column, base, statement_, block});
    if (block) statement_ = stack_.back().inner;
  }

  void close() {
    statement_ = stack_.back().statement;
    stack_.pop_back();
  }

  std::string joined() const {
    std::string out;
    for (size_t i = 0; i < lines_.size();) {
      size_t end = i, widest = 0;
      while (end < lines_.size() && !lines_[end].comment.empty() && width_of(lines_[end].text) <= kLongLine) {
        widest = std::max(widest, width_of(lines_[end].text));
        ++end;
      }
      if (end == i) {
        out += lines_[i].text + (lines_[i].comment.empty() ? "" : "  " + lines_[i].comment) + "\n";
        ++i;
      }
      for (; i < end; ++i)
        out += lines_[i].text + std::string(widest + 2 - width_of(lines_[i].text), ' ') + lines_[i].comment + "\n";
    }
    return out;
  }

  const std::vector<Piece>& pieces_;
  std::vector<Open> stack_;
  std::vector<Line> lines_;
  Line line_;
  size_t statement_ = 0, line_indent_ = 0;
  bool in_head_ = false;
};

/// Spaces and indents apart, nothing may have changed.
void check_same(const std::vector<Token>& before, const std::string& name, const std::string& text,
                const std::string& tree, const Limits& limits) {
  SourceMap sources;
  Diagnostics diagnostics;
  const uint32_t file = sources.add({name, text});
  const std::vector<Token> after = lex(sources, file, diagnostics, limits);
  SMELT_CHECK(before.size() == after.size(), "formatting changed the number of tokens");
  for (size_t i = 0; i < before.size(); ++i) {
    SMELT_CHECK(before[i].kind == after[i].kind && before[i].text == after[i].text, "formatting changed a token");
    SMELT_CHECK(i == 0 || before[i].newline_before == after[i].newline_before, "formatting moved a line end");
  }
  SMELT_CHECK(ast::print(parse(sources, file, diagnostics, nullptr, limits)) == tree,
              "formatting changed what the text says");
}

}  // namespace

std::optional<std::string> format_text(SourceMap& sources, uint32_t file, Diagnostics& diagnostics,
                                       const Limits& limits) {
  std::vector<AttributeBrace> braces;
  const ast::Ast tree = parse(sources, file, diagnostics, &braces, limits);
  if (diagnostics.has_errors()) return std::nullopt;
  Diagnostics ignored;
  const std::vector<Token> tokens = lex(sources, file, ignored, limits);
  const std::vector<Piece> pieces = format::take_apart(sources.buffer(file).text, tokens, braces);
  std::string text = Layout(pieces).run();
  check_same(tokens, sources.buffer(file).name, text, ast::print(tree), limits);
  return text;
}

}  // namespace smelt
