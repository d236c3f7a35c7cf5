// Takes a text apart: comments out of the gaps between tokens, brackets with their partners, and the role of each
// token.
#include "frontend/format/pieces.h"

#include <algorithm>
#include <array>

namespace smelt::format {

namespace {

using enum TokenKind;

/// Words that are no value, so that a bracket or a sign behind them begins one.
bool is_word(const Piece& piece) {
  static constexpr std::array<std::string_view, 10> kWords = {"and", "or",   "not",   "in", "when",
                                                              "if",  "else", "yield", "as", "assert"};
  return piece.kind == Name && std::ranges::find(kWords, piece.text) != kWords.end();
}
/// Words that are names too, and are not called.
bool stands_alone(const Piece& piece) {
  static constexpr std::array<std::string_view, 5> kAlone = {"over", "for", "to", "at", "with"};
  return piece.kind == Name && std::ranges::find(kAlone, piece.text) != kAlone.end();
}
bool is_number(const Piece& piece) { return piece.kind == Integer || piece.kind == Float || piece.names("inf"); }
bool ends_value(const Piece& piece) {
  return (piece.kind == Name && !is_word(piece)) || is_number(piece) || piece.kind == String ||
         piece.kind == CloseParen || piece.kind == CloseBracket || piece.kind == CloseBrace;
}
bool is_reduction(const Piece& piece) {
  return piece.names("sum") || piece.names("max") || piece.names("min") || piece.names("prod");
}

/// Comments and empty lines of the gap before `piece`; a comment on the line of `before` goes to that.
void read_gap(std::string_view gap, Piece* before, Piece& piece) {
  int lines = before == nullptr ? 1 : 0;  // line ends since the last comment or token
  for (size_t at = 0; at < gap.size();) {
    if (gap[at] == '\n') {
      ++lines, ++at;
    } else if (gap[at] == '#') {
      const size_t end = std::min(gap.find('\n', at), gap.size());
      std::string text(gap.substr(at, end - at));
      while (text.ends_with(' ') || text.ends_with('\t') || text.ends_with('\r')) text.pop_back();
      if (lines == 0)
        before->trailing = std::move(text);
      else
        piece.comments.push_back({std::move(text), lines > 1});
      lines = 0;
      at = end;
    } else {
      ++at;
    }
  }
  piece.blank_before = lines > 1;
}

class Roles {
 public:
  Roles(std::vector<Piece>& pieces, const std::vector<Token>& tokens, const std::vector<AttributeBrace>& braces)
      : pieces_(pieces), tokens_(tokens), braces_(braces) {}

  void find() {
    for (at_ = 0; at_ < pieces_.size(); ++at_) {
      Piece& piece = pieces_[at_];
      if (starts_import()) import_ = true;
      if (opens(piece.kind)) open(piece);
      if (closes(piece.kind) && !stack_.empty()) close(piece);
      follow_selector(piece);
      operators(piece);
    }
  }

 private:
  struct Open {
    size_t at;
    size_t element;    // where the running element begins
    bool sum = false;  // it has a `+` or a binary `-`
    std::vector<size_t> products;
  };

  const Piece* before() const { return at_ == 0 ? nullptr : &pieces_[at_ - 1]; }

  bool starts_import() {
    if (stack_.empty() && pieces_[at_].begins_line) import_ = false;
    return stack_.empty() && pieces_[at_].names("import");
  }

  void open(Piece& piece) {
    const Piece* left = before();
    const bool angle = left != nullptr && left->kind == Greater && left->role == Role::Angle;
    const bool value = left != nullptr && (ends_value(*left) || angle) && !(piece.begins_line && stack_.empty());
    if (piece.kind == OpenParen && value && !import_ && !is_reduced(left) && !stands_alone(*left))
      piece.role = Role::Call;
    if ((piece.kind == OpenBracket && value) || piece.kind == BoundedIndex) piece.role = Role::Index;
    if (piece.kind == OpenBrace) {
      const auto brace = std::ranges::find(braces_, tokens_[at_].span.begin, &AttributeBrace::begin);
      piece.role = brace == braces_.end() ? Role::Block : brace->declares ? Role::Declared : Role::Attributes;
    }
    stack_.push_back({at_, at_ + 1, false, {}});
  }

  /// `sum[i]` in front of its body.
  bool is_reduced(const Piece* left) const {
    return left->kind == CloseBracket && left->partner > 0 && is_reduction(pieces_[left->partner - 1]);
  }

  void close(Piece& piece) {
    end_element();
    piece.partner = stack_.back().at;
    piece.role = pieces_[piece.partner].role;
    pieces_[piece.partner].partner = at_;
    stack_.pop_back();
  }

  /// Products of an index that is a sum are written against each other: `x[2*i + 1]`.
  void end_element() {
    Open& open = stack_.back();
    for (const size_t product : open.products)
      if (open.sum && pieces_[open.at].role == Role::Index) pieces_[product].role = Role::Tight;
    open.products.clear();
    open.sum = false;
  }

  /// Behind a `*` of `net.**.W*`, what touches belongs to the name, and so does a name on the line behind a dot.
  void follow_selector(Piece& piece) {
    const Piece* left = before();
    const bool touches = at_ > 0 && !tokens_[at_].space_before;
    if (left != nullptr && left->kind == Dot && (piece.kind == Star || piece.kind == StarStar)) {
      selector_ = true;
      piece.role = Role::Joined;
      return;
    }
    const bool behind_dot = left != nullptr && left->kind == Dot && piece.kind == Name;
    const bool goes_on = piece.kind == Dot || behind_dot || (touches && (piece.kind == Name || piece.kind == Star));
    selector_ = selector_ && goes_on;
    if (selector_ && touches && piece.kind != Dot) piece.role = Role::Joined;
  }

  void operators(Piece& piece) {
    const Piece* left = before();
    if (piece.role == Role::Joined || left == nullptr) return;
    switch (piece.kind) {
      case Comma:
        if (!stack_.empty()) end_element();
        break;
      case Plus:
      case Minus:
        if (piece.kind == Minus && (!ends_value(*left) || (piece.begins_line && in_block())))
          piece.role = Role::Prefix;
        else if (!stack_.empty())
          stack_.back().sum = true;
        break;
      case Star:
      case Slash:
        if (!stack_.empty()) stack_.back().products.push_back(at_);
        break;
      case Ellipsis: piece.role = Role::Prefix; break;
      case DotDot: range(piece); break;
      case Equal: named(piece); break;
      case Less:
        if (left->names("ix")) piece.role = Role::Angle;
        break;
      case Greater:
        if (at_ >= 2 && pieces_[at_ - 2].role == Role::Angle && pieces_[at_ - 2].kind == Less) piece.role = Role::Angle;
        break;
      default: break;
    }
  }

  bool in_block() const { return stack_.empty() || pieces_[stack_.back().at].role == Role::Block; }

  /// `0..1`, but `a .. b`.
  void range(Piece& piece) {
    size_t right = at_ + 1;
    if (right < pieces_.size() && pieces_[right].kind == Minus) ++right;
    if (right < pieces_.size() && is_number(pieces_[at_ - 1]) && is_number(pieces_[right])) piece.role = Role::Tight;
  }

  /// Whether a `(` is that of `fn linear(a, b)`.
  bool declares(size_t bracket) const {
    static constexpr std::array<std::string_view, 6> kHeads = {"fn",        "metric",    "export",
                                                               "objective", "optimiser", "layer"};
    if (bracket < 2) return false;
    const Piece &name = pieces_[bracket - 1], &word = pieces_[bracket - 2];
    return name.role == Role::Declared ||
           (word.kind == Name && word.begins_line && std::ranges::find(kHeads, word.text) != kHeads.end());
  }

  /// `Dense{64, act=relu}` and `over=Class`, but `adam(lr = 1e-3)` and `linear(0, 1, over = 0.2)`.
  void named(Piece& piece) {
    static constexpr std::array<std::string_view, 4> kAxes = {"over", "wrt", "axis", "along"};
    if (stack_.empty() || at_ < 2) return;
    const Piece &bracket = pieces_[stack_.back().at], &name = pieces_[at_ - 1], &ahead = pieces_[at_ - 2];
    const bool argument = name.kind == Name && (ahead.kind == Comma || at_ - 2 == stack_.back().at);
    const bool share = name.text == "over" && at_ + 1 < pieces_.size() && is_number(pieces_[at_ + 1]);
    const bool axes = bracket.role == Role::Call && std::ranges::find(kAxes, name.text) != kAxes.end() && !share &&
                      !declares(stack_.back().at);
    if (argument && (axes || bracket.role == Role::Attributes)) piece.role = Role::Tight;
  }

  std::vector<Piece>& pieces_;
  const std::vector<Token>& tokens_;
  const std::vector<AttributeBrace>& braces_;
  size_t at_ = 0;
  std::vector<Open> stack_;
  bool selector_ = false, import_ = false;
};

}  // namespace

bool opens(TokenKind kind) {
  return kind == OpenParen || kind == OpenBracket || kind == OpenBrace || kind == BoundedIndex;
}
bool closes(TokenKind kind) { return kind == CloseParen || kind == CloseBracket || kind == CloseBrace; }

bool is_operator(TokenKind kind) {
  static constexpr std::array kOperators = {PipeTo,   Plus,   Minus,   Star,      Slash,        Percent, At,
                                            Caret,    Less,   Greater, LessEqual, GreaterEqual, Equal,   EqualEqual,
                                            NotEqual, DotDot, Tilde,   LeftArrow, ThinArrow,    Colon,   Dot};
  return std::ranges::find(kOperators, kind) != kOperators.end();
}

std::vector<Piece> take_apart(std::string_view text, const std::vector<Token>& tokens,
                              const std::vector<AttributeBrace>& braces) {
  std::vector<Piece> pieces(tokens.size());
  size_t end = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Span span = tokens[i].span;
    pieces[i].kind = tokens[i].kind;
    pieces[i].text = text.substr(span.begin, span.end - span.begin);
    pieces[i].begins_line = i == 0 || tokens[i].newline_before;
    read_gap(text.substr(end, span.begin - end), i == 0 ? nullptr : &pieces[i - 1], pieces[i]);
    end = span.end;
  }
  Roles(pieces, tokens, braces).find();
  return pieces;
}

bool space_between(const std::vector<Piece>& pieces, size_t left) {
  const Piece &a = pieces[left], &b = pieces[left + 1];
  const auto is_block = [](const Piece& p) { return p.role == Role::Block; };
  if (b.kind == Comma || b.kind == Semicolon || b.kind == CloseParen || b.kind == CloseBracket) return false;
  if (b.kind == CloseBrace) return is_block(b) && a.kind != OpenBrace;
  if (a.kind == OpenParen || a.kind == OpenBracket || a.kind == BoundedIndex) return false;
  if (a.kind == OpenBrace) return is_block(a);
  // `0. 1` is a part of 0, however little that means; `0.1` is a number.
  if (a.kind == Dot && b.kind == Integer && left > 0 && pieces[left - 1].kind == Integer) return true;
  if (a.kind == Dot || b.kind == Dot || b.kind == Colon || b.role == Role::Joined) return false;
  if (a.role == Role::Prefix || a.role == Role::Tight || b.role == Role::Tight) return false;
  if (b.role == Role::Call || b.role == Role::Index) return false;
  if (b.role == Role::Attributes || b.role == Role::Declared) return false;
  return b.role != Role::Angle && !(a.role == Role::Angle && a.kind == Less);
}

}  // namespace smelt::format
