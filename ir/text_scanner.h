// Characters and words of the textual form of graphs (text.h); keeps the line for messages.
#pragma once

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

namespace smelt {

class TextScanner {
 public:
  explicit TextScanner(std::string_view text) : text_(text) { skip_blanks(); }

  bool at_end() const { return position_ == text_.size(); }
  int line() const { return line_; }

  /// Takes `token` if it comes next. A word must end there.
  bool take(std::string_view token) {
    if (!text_.substr(position_).starts_with(token)) return false;
    const size_t end = position_ + token.size();
    if (is_word(token.back()) && end < text_.size() && is_word(text_[end])) return false;
    advance(token.size());
    return true;
  }

  /// Takes one character, whatever follows it.
  bool take_char(char c) {
    if (at_end() || text_[position_] != c) return false;
    advance(1);
    return true;
  }

  /// Letters, digits, `_`, `.` and `/`; empty when none comes next.
  std::string_view word() {
    size_t size = 0;
    while (position_ + size < text_.size() && is_word(text_[position_ + size])) ++size;
    const std::string_view found = text_.substr(position_, size);
    advance(size);
    return found;
  }

  /// A word or a sign in front of one.
  template <typename T>
  std::optional<T> number() {
    T value{};
    const char* first = text_.data() + position_;
    const auto [end, error] = std::from_chars(first, text_.data() + text_.size(), value);
    if (error != std::errc()) return std::nullopt;
    advance(static_cast<size_t>(end - first));
    return value;
  }

  std::optional<std::string> quoted() {
    if (position_ == text_.size() || text_[position_] != '"') return std::nullopt;
    std::string out;
    for (size_t i = position_ + 1; i < text_.size() && text_[i] != '\n'; ++i) {
      if (text_[i] == '"') {
        advance(i + 1 - position_);
        return out;
      }
      if (text_[i] == '\\' && i + 1 < text_.size()) ++i;
      out += text_[i];
    }
    return std::nullopt;
  }

  /// What comes next, for messages.
  std::string_view next() const {
    const std::string_view rest = text_.substr(position_, text_.find('\n', position_) - position_);
    return rest.substr(0, 24);
  }

 private:
  static bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '/';
  }

  void advance(size_t count) {
    position_ += count;
    skip_blanks();
  }

  void skip_blanks() {
    while (position_ < text_.size()) {
      if (text_.substr(position_).starts_with("//")) {
        position_ = std::min(text_.find('\n', position_), text_.size());
      } else if (std::isspace(static_cast<unsigned char>(text_[position_])) != 0) {
        line_ += text_[position_++] == '\n';
      } else {
        return;
      }
    }
  }

  std::string_view text_;
  size_t position_ = 0;
  int line_ = 1;
};

}  // namespace smelt
