#include "ir/support/source.h"

#include <fmt/format.h>

#include "ir/support/printable.h"

namespace smelt {

LineColumn SourceMap::locate(uint32_t file, uint32_t offset) const {
  const std::string_view text = buffers_.at(file).text;
  LineColumn at{1, 1};
  for (uint32_t i = 0; i < offset && i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '\n') {
      ++at.line;
      at.column = 1;
    } else if ((byte & 0xC0) != 0x80) {  // continuation bytes of UTF-8 do not start a column
      ++at.column;
    }
  }
  return at;
}

std::string_view SourceMap::line_text(uint32_t file, int line) const {
  std::string_view text = buffers_.at(file).text;
  for (int i = 1; i < line; ++i) {
    const size_t newline = text.find('\n');
    if (newline == std::string_view::npos) return {};
    text.remove_prefix(newline + 1);
  }
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

std::string SourceMap::describe(Span span) const {
  if (span.empty()) return {};
  const LineColumn at = locate(span.file, span.begin);
  return fmt::format("{}:{}:{}", printable_lines(buffers_.at(span.file).name), at.line, at.column);
}

}  // namespace smelt
