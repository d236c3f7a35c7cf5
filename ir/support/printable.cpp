#include "ir/support/printable.h"

#include <fmt/format.h>

#include <algorithm>

namespace smelt {
namespace {

// Characters that change how the text around them is shown: marks, embeddings, overrides and isolates of the direction
// of writing, line and paragraph separators. A line of a file could show another order than it has.
bool turns_text(std::string_view character) {
  static constexpr std::string_view kMarks[] = {"\u061c", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202b",
                                                "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"};
  return std::ranges::find(kMarks, character) != std::end(kMarks);
}

void append_escaped(std::string& out, char byte) { out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte)); }

}  // namespace

size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(at);
  if (first < 0x80) return at < text.size() ? 1 : 0;
  if (first < 0xC2 || first > 0xF4) return 0;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  }
  const unsigned second = byte(at + 1);
  const bool is_overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool is_surrogate = first == 0xED && second > 0x9F;
  const bool is_beyond = first == 0xF4 && second > 0x8F;  // of U+10FFFF
  return is_overlong || is_surrogate || is_beyond ? 0 : length;
}

size_t shown_character(std::string_view text, size_t at) {
  const size_t length = utf8_length(text, at);
  const auto first = static_cast<unsigned char>(length > 0 ? text[at] : 0);
  if (length == 1) return first >= 0x20 && first != 0x7F ? 1 : 0;
  if (length == 2 && first == 0xC2 && static_cast<unsigned char>(text[at + 1]) < 0xA0) return 0;  // C1 controls
  return turns_text(text.substr(at, length)) ? 0 : length;
}

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  size_t at = 0;
  while (at < text.size() && out.size() < max_bytes) {
    const size_t length = shown_character(text, at);
    if (length == 0) {
      append_escaped(out, text[at++]);
    } else {
      out += text.substr(at, length);
      at += length;
    }
  }
  if (at < text.size()) out += "...";
  return out;
}

std::string printable_lines(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t length = text[at] == '\n' ? 1 : shown_character(text, at);
    if (length == 0) {
      append_escaped(out, text[at++]);
    } else {
      out += text.substr(at, length);
      at += length;
    }
  }
  return out;
}

std::string shell_word(std::string_view text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./=:@%+,").find(c) != std::string_view::npos;
  };
  if (!text.empty() && std::ranges::all_of(text, plain)) return std::string(text);
  const std::string shown = printable(text, text.size() * 4 + 1);
  // What cannot be shown as it is has a spelling in bash, `$'a\x0ab'`, which takes `\` and `'` with a backslash before.
  const bool escaped = shown != text;
  std::string out = escaped ? "$'" : "'";
  for (size_t at = 0; at < text.size();) {
    const size_t length = shown_character(text, at);
    if (length == 0) {
      append_escaped(out, text[at++]);
      continue;
    }
    const std::string_view character = text.substr(at, length);
    if (escaped && (character == "'" || character == "\\"))
      out += '\\';
    else if (character == "'")
      out += "'\\'";
    out += character;
    at += length;
  }
  return out + "'";
}

}  // namespace smelt
