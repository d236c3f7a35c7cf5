#include "frontend/library_reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <span>

#include "frontend/intrinsics.h"
#include "frontend/library.h"
#include "frontend/line_forms.h"
#include "frontend/planned.h"
#include "ir/readers.h"
#include "ir/support/embedded_text.h"

namespace smelt {

extern const EmbeddedText embedded_standard_library[];

namespace {

/// One line, with single spaces.
std::string on_one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\n' || c == '\t';
    if (!space || (!out.empty() && out.back() != ' ')) out += space ? ' ' : c;
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

/// Where the head of a declaration ends: before ` = ` or ` {`, outside of brackets.
size_t head_end(std::string_view text, size_t at) {
  for (int depth = 0; at < text.size(); ++at) {
    const char c = text[at];
    const std::string_view rest = text.substr(at);
    if (depth == 0 &&
        (rest.starts_with(" = ") || rest.starts_with(" =\n") || rest.starts_with(" {") || rest.starts_with(" for ")))
      return at;
    if (c == '(' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == ']' || c == '}') --depth;
    if (depth == 0 && c == '\n' && text.substr(at + 1).find_first_not_of(' ') != std::string_view::npos &&
        text[at + 1 + text.substr(at + 1).find_first_not_of(' ')] != '(')
      return at;
  }
  return at;
}

/// The comment right above the line of `at`.
std::string comment_above(std::string_view text, size_t at) {
  size_t begin = text.rfind('\n', at);
  begin = begin == std::string_view::npos ? 0 : begin + 1;
  std::string comment;
  while (begin > 0) {
    const size_t above = begin == 1 ? 0 : text.rfind('\n', begin - 2) + 1;
    if (text[above] != '#' || text.substr(above).starts_with("# ----")) break;
    comment = std::string(text.substr(above + 1, begin - above - 2)) + " " + comment;
    begin = above;
  }
  return on_one_line(comment);
}

std::string formula_of(std::string_view text, size_t end) {
  if (!text.substr(end).starts_with(" = ") && !text.substr(end).starts_with(" =\n")) return {};
  const size_t stop = std::min(text.find("\n\n", end), text.find("\nfn ", end));
  const std::string formula = on_one_line(text.substr(end + 2, std::min(stop, text.find("\n#", end)) - end - 2));
  constexpr size_t kLongest = 120;
  return formula.size() > kLongest || formula.find("vjp") != std::string::npos ? std::string()
                                                                               : fmt::format("`{}`", formula);
}

void add_declared(const EmbeddedText& file, std::vector<LibraryEntry>& entries) {
  SourceMap sources;
  const frontend::Library library(sources);
  const frontend::FileScope& scope = *library.find_file(file.name);
  const std::string_view text = file.text;
  std::vector<std::pair<uint32_t, std::string>> names;
  const auto note = [&](const auto& declarations) {
    for (const auto& d : declarations) names.emplace_back(d.name.span.begin, d.name.text);
  };
  note(scope.ast.layers), note(scope.ast.fns), note(scope.ast.optimisers);
  std::ranges::sort(names);
  for (const auto& [at, name] : names) {
    if (frontend::is_inner_name(name)) continue;
    const size_t end = head_end(text, at);
    std::string doc = comment_above(text, at);
    if (doc.empty()) doc = formula_of(text, end);
    entries.push_back({fmt::format("std.{}", file.name), name, on_one_line(text.substr(at, end - at)), std::move(doc)});
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// The comment at the beginning of a file, before the first empty line.
std::string about(const EmbeddedText& file) {
  const std::string_view text = file.text;
  if (!text.starts_with('#')) return {};
  std::string out;
  for (const char c : text.substr(0, text.find("\n\n")))
    if (c != '#') out += c;
  return text.substr(0, text.find("\n\n")).find("\nfn ") == std::string_view::npos ? on_one_line(out) : std::string();
}

void write_entry(std::string& out, const LibraryEntry& entry) {
  out += fmt::format("- `{}`{}{}\n", entry.signature, entry.doc.empty() ? "" : ": ", entry.doc);
}

}  // namespace

std::vector<LibraryEntry> library_entries() {
  std::vector<LibraryEntry> entries;
  for (const EmbeddedText* file = embedded_standard_library; file->name != nullptr; ++file)
    add_declared(*file, entries);
  for (const frontend::Intrinsic& intrinsic : frontend::intrinsics()) {
    if (intrinsic.distribution != nullptr || frontend::is_inner_name(intrinsic.name) ||
        frontend::is_planned(frontend::PlannedKind::Function, intrinsic.name))
      continue;
    entries.push_back({"built in", std::string(intrinsic.name), fmt::format("{}({})", intrinsic.name, intrinsic.params),
                       std::string(intrinsic.doc)});
  }
  for (const frontend::DistributionRecord& dist : frontend::all_distributions())
    entries.push_back(
        {"distribution", std::string(dist.name), fmt::format("{}({})", dist.name, dist.params), std::string(dist.doc)});
  for (const ReaderRecord& reader : kReaders)
    entries.push_back({"reader", std::string(reader.name), std::string(reader.example), std::string(reader.fields)});
  const auto add = [&](std::string_view module, std::span<const frontend::LineForm> lines) {
    for (const frontend::LineForm& line : lines)
      entries.push_back({std::string(module), std::string(line.word), std::string(line.form), std::string(line.doc)});
  };
  add("step line", frontend::kStepOptions);
  add("train section", frontend::kTrainLines);
  return entries;
}

std::vector<LibraryEntry> find_entries(std::string_view word) {
  const std::vector<LibraryEntry> all = library_entries();
  std::vector<LibraryEntry> found;
  for (const LibraryEntry& entry : all)
    if (entry.name == word || entry.module + "." + entry.name == word) found.push_back(entry);
  if (!found.empty()) return found;
  const std::string wanted = lower(word);
  for (const LibraryEntry& entry : all)
    if (lower(entry.name).find(wanted) != std::string::npos || lower(entry.doc).find(wanted) != std::string::npos)
      found.push_back(entry);
  return found;
}

std::string library_markdown() {
  const std::vector<LibraryEntry> entries = library_entries();
  std::string out =
      "# The library\n\n"
      "Every name that the language has, for who writes models. `smelt show --markdown` writes this page, and a test "
      "compares it.\n"
      "`smelt show NAME` prints an entry, or searches; the library's text is the reference of what each of them "
      "computes.\n\n"
      "In a signature `over=` is optional; attributes in braces are given while compiling, arguments in parentheses "
      "are tensors. Layers of\n"
      "`nn`, `block` and `sequence` need an `import std.nn (Dense)`; functions need none.\n";
  for (const EmbeddedText* file = embedded_standard_library; file->name != nullptr; ++file) {
    const std::string module = fmt::format("std.{}", file->name);
    out += fmt::format("\n## {}\n\n", module);
    if (const std::string text = about(*file); !text.empty()) out += text + "\n\n";
    for (const LibraryEntry& entry : entries)
      if (entry.module == module) write_entry(out, entry);
  }
  constexpr std::pair<std::string_view, std::string_view> kProvided[] = {
      {"distribution",
       "## Distributions\n\n`d[B, Z]` gives the axes, `z ~ d` draws. `log_prob`, `kl`, `entropy` and `mean_of` take "
       "one.\n\n"},
      {"built in", "## Built in\n\n"},
      {"reader", "## Readers\n\nOf a split in a data section: `train = csv(\"points.csv\")`.\n\n"},
      {"step line", "## Options of step lines\n\nEvery optimiser takes them.\n\n"},
      {"train section", "## Lines and actions of a train section\n\n"}};
  for (const auto& [module, heading] : kProvided) {
    out += fmt::format("\n{}", heading);
    for (const LibraryEntry& entry : entries)
      if (entry.module == module) write_entry(out, entry);
  }
  return out;
}

}  // namespace smelt
