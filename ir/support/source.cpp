#include "ir/support/source.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/support/printable.h"

namespace smelt {

uint32_t SourceMap::add(SourceBuffer buffer) {
  std::vector<uint32_t> starts{0};
  for (uint32_t i = 0; i < buffer.text.size(); ++i)
    if (buffer.text[i] == '\n') starts.push_back(i + 1);
  line_starts_.push_back(std::move(starts));
  buffers_.push_back(std::move(buffer));
  return static_cast<uint32_t>(buffers_.size() - 1);
}

LineColumn SourceMap::locate(uint32_t file, uint32_t offset) const {
  const std::string_view text = buffers_.at(file).text;
  const std::vector<uint32_t>& starts = line_starts_[file];
  offset = std::min(offset, static_cast<uint32_t>(text.size()));
  const auto next = std::ranges::upper_bound(starts, offset);
  const std::string_view before = text.substr(*(next - 1), offset - *(next - 1));
  // Continuation bytes of UTF-8 do not start a column.
  const auto columns = std::ranges::count_if(before, [](char byte) { return (byte & 0xC0) != 0x80; });
  return {static_cast<int>(next - starts.begin()), static_cast<int>(columns) + 1};
}

std::string_view SourceMap::line_text(uint32_t file, int line) const {
  const std::vector<uint32_t>& starts = line_starts_.at(file);
  if (line < 1 || static_cast<size_t>(line) > starts.size()) return {};
  std::string_view text = std::string_view(buffers_[file].text).substr(starts[static_cast<size_t>(line) - 1]);
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
