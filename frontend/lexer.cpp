#include "frontend/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "frontend/foreign_words.h"
#include "ir/support/printable.h"

namespace smelt {

namespace {

struct Punctuation {
  TokenKind kind;
  std::string_view text;
};
constexpr Punctuation kPunctuation[] = {
#define PUNCT(enumerator, text) {TokenKind::enumerator, text},
#include "frontend/tokens.def"
#undef PUNCT
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  Lexer(std::string_view text, uint32_t file, Diagnostics& diagnostics, const Limits& limits)
      : text_(text), file_(file), diagnostics_(diagnostics), limits_(limits) {}

  std::vector<Token> run() {
    if (!is_plain_text()) return {end_of_file()};
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    while (skip_blank(), at_ < text_.size()) next();
    tokens_.push_back(end_of_file());
    return std::move(tokens_);
  }

 private:
  /// Checks the size, then every byte, so that the rest may assume UTF-8 without NUL.
  bool is_plain_text() {
    if (text_.size() > limits_.model_file) {
      diagnostics_
          .report(Diag::E0008, {file_, 0, 1},
                  fmt::format("the file has {} bytes; the limit is {}", text_.size(), limits_.model_file))
          .with_help(raise_limit(&Limits::model_file, text_.size()));
      return false;
    }
    for (size_t i = 0; i < text_.size();) {
      const size_t length = text_[i] == '\0' ? 0 : utf8_length(text_, i);
      if (length == 0) {
        const auto byte = static_cast<unsigned char>(text_[i]);
        diagnostics_
            .report(Diag::E0002, span(i, i + 1), fmt::format("byte {:#04x} at offset {} is not UTF-8 text", byte, i))
            .with_help("save the file as UTF-8");
        return false;
      }
      i += length;
    }
    return true;
  }

  void skip_blank() {
    space_ = newline_ = false;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#')
        at_ = std::min(text_.find('\n', at_), text_.size());
      else if (c == '\n' || c == '\r')
        newline_ = true, ++at_;
      else if (c == ' ' || c == '\t')
        ++at_;
      else
        return;
      space_ = true;
    }
  }

  void next() {
    const char c = text_[at_];
    if (is_letter(c)) return name();
    if (is_digit(c)) return number();
    if (c == '"') return string();
    for (const Punctuation& p : kPunctuation) {
      if (text_.substr(at_).starts_with(p.text)) return push(p.kind, at_, at_ + p.text.size());
    }
    size_t length = utf8_length(text_, at_);
    const std::string_view help = frontend::help_for_operator(text_.substr(at_), &length);
    if (c == '\'') {  // a whole text is one mistake
      const size_t close = text_.find_first_of("'\n", at_ + 1);
      if (close != std::string_view::npos && text_[close] == '\'') length = close + 1 - at_;
    }
    diagnostics_
        .report(Diag::E0004, span(at_, at_ + length),
                fmt::format("unexpected {} `{}`", length > 1 && !help.empty() ? "sign" : "character",
                            printable(text_.substr(at_, length), 40)))
        .with_help(std::string(help));
    push(TokenKind::Bad, at_, at_ + length);
  }

  void name() {
    size_t end = at_;
    while (end < text_.size() && (is_letter(text_[end]) || is_digit(text_[end]))) ++end;
    if (end - at_ > limits_.name) {
      diagnostics_
          .report(Diag::E0008, span(at_, end),
                  fmt::format("a name of {} bytes; the limit is {}", end - at_, limits_.name))
          .with_help(raise_limit(&Limits::name, end - at_));
    }
    push(TokenKind::Name, at_, end);
  }

  size_t digits(size_t from) const {
    while (from < text_.size() && (is_digit(text_[from]) || text_[from] == '_')) ++from;
    return from;
  }

  /// `20_000`, `0.5`, `1e-3`; the dots of `0..1` belong to the range.
  void number() {
    const auto digit_at = [&](size_t i) { return i < text_.size() && is_digit(text_[i]); };
    size_t end = digits(at_);
    bool whole = true;
    if (end < text_.size() && text_[end] == '.' && digit_at(end + 1)) end = digits(end + 1), whole = false;
    if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      const size_t sign = end + 1 < text_.size() && (text_[end + 1] == '+' || text_[end + 1] == '-') ? 1 : 0;
      if (digit_at(end + 1 + sign)) end = digits(end + 1 + sign), whole = false;
    }
    if (end < text_.size() && is_letter(text_[end])) return bad_number(end);
    std::string plain;
    for (const char c : text_.substr(at_, end - at_))
      if (c != '_') plain += c;
    const size_t start = at_;
    push(whole ? TokenKind::Integer : TokenKind::Float, at_, end);
    Token& token = tokens_.back();
    const char* const last = plain.data() + plain.size();
    if (whole && std::from_chars(plain.data(), last, token.integer).ec != std::errc()) {
      diagnostics_.report(Diag::E0005, span(start, end), "a whole number has to be below 2^63")
          .with_help("write 1e19 for a number that is not whole");
    }
    if (std::from_chars(plain.data(), last, token.number).ec != std::errc()) {
      diagnostics_.report(Diag::E0005, span(start, end), "the number is outside the range of f64")
          .with_help("`inf` is a name for infinity");
    }
  }

  void bad_number(size_t end) {
    while (end < text_.size() && (is_letter(text_[end]) || is_digit(text_[end]))) ++end;
    const std::string_view text = text_.substr(at_, end - at_);
    diagnostics_.report(Diag::E0005, span(at_, end), fmt::format("`{}` is not a number", printable(text)))
        .with_help(text.starts_with("0x") ? "numbers are decimal" : "a name starts with a letter");
    push(TokenKind::Bad, at_, end);
  }

  void string() {
    const size_t open = at_;
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\n') end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size() || text_[end] != '"') {
      diagnostics_.report(Diag::E0003, span(open, open + 1), "the string that starts here does not end on its line")
          .with_help("close it with `\"`");
      return push(TokenKind::Bad, open, std::min(text_.size(), text_.find('\n', open)));
    }
    push(TokenKind::String, open, end + 1);
    tokens_.back().text = text_.substr(open + 1, end - open - 1);
  }

  void push(TokenKind kind, size_t begin, size_t end) {
    tokens_.push_back({kind, span(begin, end), text_.substr(begin, end - begin), newline_, space_});
    at_ = end;
  }

  Token end_of_file() const { return {TokenKind::EndOfFile, span(text_.size(), text_.size()), {}, true, true}; }

  Span span(size_t begin, size_t end) const {
    return {file_, static_cast<uint32_t>(begin), static_cast<uint32_t>(end)};
  }

  std::string_view text_;
  uint32_t file_;
  Diagnostics& diagnostics_;
  const Limits& limits_;
  size_t at_ = 0;
  bool newline_ = false, space_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

std::string describe(TokenKind kind) {
  switch (kind) {
    case TokenKind::EndOfFile: return "the end of the file";
    case TokenKind::Name: return "a name";
    case TokenKind::Integer:
    case TokenKind::Float: return "a number";
    case TokenKind::String: return "a string";
    case TokenKind::Bad: return "text that is not understood";
#define PUNCT(enumerator, text) \
  case TokenKind::enumerator: return "`" text "`";
#include "frontend/tokens.def"
#undef PUNCT
  }
  return {};
}

std::vector<Token> lex(const SourceMap& sources, uint32_t file, Diagnostics& diagnostics, const Limits& limits) {
  return Lexer(sources.buffer(file).text, file, diagnostics, limits).run();
}

std::vector<Token> lex_part(std::string_view text, uint32_t file, uint32_t begin, Diagnostics& diagnostics,
                            const Limits& limits) {
  std::vector<Token> tokens = Lexer(text, file, diagnostics, limits).run();
  for (Token& token : tokens) {
    token.span.begin += begin;
    token.span.end += begin;
  }
  return tokens;
}

std::string unescape(const Token& token, Diagnostics& diagnostics) {
  constexpr std::string_view kEscapes = "n\nt\t\"\"\\\\";  // pairs: letter, meaning
  std::string out;
  for (size_t i = 0; i < token.text.size(); ++i) {
    if (token.text[i] != '\\' || i + 1 == token.text.size()) {
      out += token.text[i];
      continue;
    }
    const char letter = token.text[++i];
    size_t pair = 0;
    while (pair < kEscapes.size() && kEscapes[pair] != letter) pair += 2;
    if (pair < kEscapes.size()) {
      out += kEscapes[pair + 1];
      continue;
    }
    const auto begin = static_cast<uint32_t>(token.span.begin + i);  // the quote stands before the text
    diagnostics
        .report(Diag::E0009, {token.span.file, begin, begin + 2},
                fmt::format("unknown escape `\\{}`",
                            utf8_length(std::string_view(&letter, 1), 0) == 1 ? std::string(1, letter) : "?"))
        .with_help("write `\\\\` for a backslash");
  }
  return out;
}

}  // namespace smelt
