// Draws one diagnostic as text: source lines with carets and labels below them.
//
//   error[E0107]: layer `f` takes f32[..., Hid] but is applied to f32[..., Pixel]
//     --> vae.smelt:14:33
//   14 |   Normal(mean = f(h), logvar = f(x))
//      |                 ----           ^^^^ In = Pixel (784)
//      |                 In was fixed to Hid (400) by this first application
//      = help: write Dense{Z} twice for two matrices
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ir/support/diagnostics.h"
#include "ir/support/printable.h"

namespace smelt {

namespace {

/// What is underlined on one line; columns are 0-based code points.
struct Mark {
  int column = 0;
  int width = 1;
  char stroke = '^';
  std::string text;
};

struct Painter {
  Colour colour;
  std::string paint(std::string_view code, std::string text) const {
    if (colour == Colour::Off || text.empty()) return text;
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
  }
  std::string error(std::string text) const { return paint("1;31", std::move(text)); }
  std::string warning(std::string text) const { return paint("1;33", std::move(text)); }
  std::string frame(std::string text) const { return paint("34", std::move(text)); }
  std::string bold(std::string text) const { return paint("1", std::move(text)); }
};

int code_points(std::string_view text) {
  return static_cast<int>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

bool continues(char byte) { return (byte & 0xC0) == 0x80; }

/// Byte at which code point `count` of `text` begins; its end when there are fewer.
size_t byte_of(std::string_view text, int count) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if (!continues(text[at]) && count-- == 0) break;
  }
  return at;
}

/// One character a code point, so that columns and carets agree: a tab becomes a space, what no terminal should get
/// (control characters, marks of direction, bytes that are not UTF-8) becomes `?`.
std::string shown_line(std::string_view line) {
  std::string out;
  for (size_t at = 0; at < line.size();) {
    size_t end = at + 1;
    while (end < line.size() && continues(line[end])) ++end;
    const std::string_view character = line.substr(at, end - at);
    if (character == "\t") {
      out += ' ';
    } else if (shown_character(character, 0) == character.size()) {
      out += character;
    } else if (!continues(character[0])) {
      out += '?';
    }
    at = end;
  }
  return out;
}

/// Lines longer than a screen are shown as a window around the first mark.
constexpr int kMaxColumns = 120;

class Snippet {
 public:
  Snippet(const SourceMap& sources, uint32_t file, Painter painter)
      : sources_(sources), file_(file), painter_(painter) {}

  void add(Span span, char stroke, std::string text) {
    const LineColumn begin = sources_.locate(file_, span.begin);
    const std::string_view line = sources_.line_text(file_, begin.line);
    const int available = std::max(1, code_points(line) - (begin.column - 1));
    const int length = span.end > span.begin ? code_points(sources_.text(span)) : 1;
    lines_[begin.line].push_back({begin.column - 1, std::clamp(length, 1, available), stroke, std::move(text)});
  }

  int gutter() const { return lines_.empty() ? 1 : static_cast<int>(std::to_string(lines_.rbegin()->first).size()); }

  std::string draw(int gutter_width) {
    std::string out;
    int previous = 0;
    for (auto& [line, marks] : lines_) {
      if (previous != 0 && line > previous + 1)
        out += painter_.frame(fmt::format("{:>{}}", "...", gutter_width + 2)) + "\n";
      previous = line;
      out += draw_line(line, marks, gutter_width);
    }
    return out;
  }

 private:
  std::string draw_line(int line, std::vector<Mark>& marks, int gutter_width) {
    std::ranges::sort(marks, {}, [](const Mark& mark) { return std::pair(mark.column, mark.stroke); });
    std::string source = shown_line(sources_.line_text(file_, line));
    if (code_points(source) > kMaxColumns) source = window(source, marks);
    std::string out =
        painter_.frame(fmt::format("{:>{}} |", line, gutter_width)) + (source.empty() ? "" : " " + source) + "\n";
    std::string under;
    for (const Mark& mark : marks) {
      const auto start = static_cast<size_t>(mark.column), end = start + static_cast<size_t>(mark.width);
      if (under.size() < end) under.resize(end, ' ');
      for (size_t i = start; i < end; ++i)
        if (under[i] != '^') under[i] = mark.stroke;
    }
    const std::string bar = painter_.frame(fmt::format("{:>{}} |", "", gutter_width));
    out +=
        fmt::format("{} {}{}\n", bar, painter_.error(under), marks.back().text.empty() ? "" : " " + marks.back().text);
    for (size_t i = marks.size() - 1; i-- > 0;) {
      if (!marks[i].text.empty()) out += fmt::format("{} {:{}}{}\n", bar, "", marks[i].column, marks[i].text);
    }
    return out;
  }

  static std::string window(const std::string& source, std::vector<Mark>& marks) {
    const int shift = std::max(0, marks.front().column - kMaxColumns / 2);
    for (Mark& mark : marks) {
      mark.column = std::clamp(mark.column - shift, 0, kMaxColumns);
      mark.width = std::clamp(mark.width, 1, kMaxColumns + 1 - mark.column);
    }
    const size_t begin = byte_of(source, shift);
    return source.substr(begin, byte_of(std::string_view(source).substr(begin), kMaxColumns));
  }

  const SourceMap& sources_;
  uint32_t file_;
  Painter painter_;
  std::map<int, std::vector<Mark>> lines_;
};

}  // namespace

std::string render(const Diagnostic& d, const SourceMap& sources, Colour colour) {
  const Painter painter{colour};
  const std::string head =
      fmt::format("{}[{}]", d.severity() == Severity::Error ? "error" : "warning", info(d.code).code);
  std::string out = (d.severity() == Severity::Error ? painter.error(head) : painter.warning(head)) + ": " +
                    painter.bold(printable_lines(d.message)) + "\n";
  int gutter = 1;
  if (!d.span.empty()) {
    std::map<uint32_t, Snippet> snippets;  // by file, the primary one first
    const auto snippet = [&](uint32_t file) -> Snippet& {
      return snippets.try_emplace(file, sources, file, painter).first->second;
    };
    snippet(d.span.file).add(d.span, '^', d.caret_text);
    std::map<uint32_t, Span> first_label;
    for (const Label& label : d.labels) {
      if (label.span.empty()) continue;
      snippet(label.span.file).add(label.span, '-', label.text);
      first_label.try_emplace(label.span.file, label.span);
    }
    for (const auto& [file, part] : snippets) gutter = std::max(gutter, part.gutter());
    out += fmt::format("{:{}}{} {}\n", "", gutter, painter.frame("-->"), sources.describe(d.span));
    out += snippet(d.span.file).draw(gutter);
    for (auto& [file, part] : snippets) {
      if (file == d.span.file) continue;
      out += fmt::format("{:{}}{} {}\n", "", gutter, painter.frame(":::"), sources.describe(first_label[file]));
      out += part.draw(gutter);
    }
  }
  const std::string bullet = fmt::format("{:{}} {}", "", gutter, painter.frame("="));
  for (const std::string& note : d.notes) out += fmt::format("{} note: {}\n", bullet, printable_lines(note));
  if (!d.help.empty()) out += fmt::format("{} help: {}\n", bullet, printable_lines(d.help));
  return out;
}

std::string render(const Diagnostics& diagnostics, const SourceMap& sources, Colour colour) {
  std::string out;
  for (const Diagnostic& diagnostic : diagnostics.sorted()) {
    out += render(diagnostic, sources, colour) + "\n";
  }
  const auto more = [&](size_t number, std::string_view what) {
    if (number <= diagnostics.most()) return;
    out += fmt::format("{} more {} are not shown\n  = help: {}\n", number - diagnostics.most(), what,
                       raise_limit(&Limits::errors, number));
  };
  more(diagnostics.num_errors(), "errors");
  more(diagnostics.num_warnings(), "warnings");
  return out;
}

}  // namespace smelt
