#include "cli/lsp/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>

#include "frontend/format/format_text.h"
#include "frontend/library_reference.h"
#include "frontend/line_forms.h"
#include "runtime/files/file.h"
#include "runtime/object_cache.h"

namespace smelt::cli::lsp {

using nlohmann::json;

json range_of(std::string_view text, size_t begin, size_t end) {
  const Position from = position_of(text, begin), to = position_of(text, end);
  return {{"start", {{"line", from.line}, {"character", from.character}}},
          {"end", {{"line", to.line}, {"character", to.character}}}};
}

namespace {

/// Where a text of the library can be opened; empty when it cannot be written.
std::string uri_of_library(const SourceBuffer& buffer) {
  const std::string directory = default_cache_directory();
  if (directory.empty()) return {};
  const std::filesystem::path path = std::filesystem::path(directory) / "library" / buffer.name;
  if (!make_directories(path.parent_path().string())) return {};
  if (!write_file_atomic(path.string(), buffer.text)) return {};
  std::error_code gone;  // a folder that was removed
  const std::filesystem::path place = std::filesystem::absolute(path, gone);
  return "file://" + (gone ? path : place).string();
}

json location_of(const Document& document, Span span) {
  const SourceBuffer& buffer = document.sources->buffer(span.file);
  const std::string uri = span.file == document.file ? document.uri : uri_of_library(buffer);
  if (uri.empty()) return nullptr;
  return {{"uri", uri}, {"range", range_of(buffer.text, span.begin, span.end)}};
}

/// The types that a binding has had, each once.
std::vector<const BoundName*> bound_at(const Document& document, Span span) {
  std::vector<const BoundName*> list;
  std::set<std::string> seen;
  for (const BoundName& bound : document.bound)
    if (bound.span == span && seen.insert(bound.type).second) list.push_back(&bound);
  return list;
}

json markdown(const Document& document, const Token& token, const std::string& text) {
  return {{"contents", {{"kind", "markdown"}, {"value", text}}},
          {"range", range_of(document.text, token.span.begin, token.span.end)}};
}

std::string describe(const BoundName& bound, std::string_view name) {
  std::string text = fmt::format("```smelt\n{}: {}\n```\n", name, bound.type);
  if (bound.is_tensor) text += fmt::format("at most {} bytes", bound.bytes);
  if (bound.range.known()) text += fmt::format("; values in {}..{}", bound.range.low, bound.range.high);
  return text;
}

}  // namespace

json diagnostics_of(const Document& document) {
  json list = json::array();
  if (!document.internal_error.empty()) {
    list.push_back({{"range", range_of(document.text, 0, 0)},
                    {"severity", 1},
                    {"source", "smelt"},
                    {"message", "internal error, a mistake in smelt: " + document.internal_error}});
  }
  for (const Diagnostic& d : document.diagnostics.sorted()) {
    std::string message = d.message;
    if (!d.caret_text.empty()) message += "\n" + d.caret_text;
    for (const std::string& note : d.notes) message += "\nnote: " + note;
    if (!d.help.empty()) message += "\nhelp: " + d.help;
    const bool here = !d.span.empty() && d.span.file == document.file;
    json related = json::array();
    for (const Label& label : d.labels) {
      const json location = label.span.empty() ? json(nullptr) : location_of(document, label.span);
      if (!location.is_null())
        related.push_back({{"location", location}, {"message", label.text.empty() ? "here" : label.text}});
    }
    list.push_back({{"range", here ? range_of(document.text, d.span.begin, d.span.end) : range_of(document.text, 0, 0)},
                    {"severity", d.severity() == Severity::Error ? 1 : 2},
                    {"code", info(d.code).code},
                    {"source", "smelt"},
                    {"message", message},
                    {"relatedInformation", related}});
  }
  return list;
}

json hover(const Document& document, size_t offset) {
  const std::optional<size_t> at = document.name_at(offset);
  const std::optional<Meaning> meaning = at ? meaning_of(document, *at) : std::nullopt;
  if (!meaning) return nullptr;
  const Token& token = document.tokens[*at];
  std::string text;
  if (meaning->kind != Meaning::Kind::Library) {
    for (const BoundName* bound : bound_at(document, meaning->span))
      text += (text.empty() ? "" : "\n\n") + describe(*bound, token.text);
  }
  if (meaning->kind == Meaning::Kind::File && text.empty()) {
    const int line = document.sources->locate(document.file, meaning->span.begin).line;
    text = fmt::format("```smelt\n{}\n```", document.sources->line_text(document.file, line));
  }
  if (meaning->kind == Meaning::Kind::Library) {
    for (const LibraryEntry& entry : library_entries()) {
      if (entry.name != token.text) continue;
      text = fmt::format("```smelt\n{}\n```\n{}\n\n{}", entry.signature, entry.doc, entry.module);
      break;
    }
  }
  return text.empty() ? json(nullptr) : markdown(document, token, text);
}

json completion(const Document& document, size_t offset) {
  // Kinds of the protocol: 3 function, 6 variable, 7 class, 14 keyword, 21 constant.
  json items = json::array();
  std::set<std::string> seen;
  const auto add = [&](const std::string& name, int kind, const std::string& detail, const std::string& doc) {
    if (!seen.insert(name).second) return;
    json item = {{"label", name}, {"kind", kind}};
    if (!detail.empty()) item["detail"] = detail;
    if (!doc.empty()) item["documentation"] = doc;
    items.push_back(std::move(item));
  };
  const auto [begin, end] = document.section_around(offset);
  const bool first_column = offset == 0 || document.text[offset - 1] == '\n';
  for (const Declared& d : document.declared) {
    if (!d.local || d.span.begin < begin || d.span.begin >= std::min<size_t>(end, offset)) continue;
    const auto types = bound_at(document, d.span);
    add(d.name, 6, types.size() == 1 ? types[0]->type : "", "");
  }
  for (const Declared& d : document.declared)
    if (!d.local) add(d.name, 21, "", "");
  for (const LibraryEntry& entry : library_entries()) {
    if (entry.module == "std.dist" || entry.module == "train section") continue;  // its words come below
    const bool capital = entry.name[0] >= 'A' && entry.name[0] <= 'Z';
    add(entry.name, capital ? 7 : 3, entry.signature, entry.doc);
  }
  const std::string_view head = std::string_view(document.text).substr(begin, 6);
  constexpr std::string_view kSections[] = {"import", "dim",    "config", "const", "data",      "layer",    "model",
                                            "fn",     "metric", "export", "train", "optimiser", "objective"};
  constexpr std::string_view kBody[] = {"param", "state", "report", "assert", "dim",     "if",
                                        "else",  "scan",  "repeat", "yield",  "training"};
  const auto add_words = [&](std::span<const std::string_view> words) {
    for (const std::string_view word : words) add(std::string(word), 14, "", "");
  };
  if (first_column) {
    add_words(kSections);
  } else if (head.starts_with("train")) {
    for (const frontend::LineForm& line : frontend::kTrainLines)
      add(std::string(line.word), 14, std::string(line.form), std::string(line.doc));
  } else {
    add_words(kBody);
  }
  return items;
}

json definition(const Document& document, size_t offset) {
  const std::optional<size_t> at = document.name_at(offset);
  const std::optional<Meaning> meaning = at ? meaning_of(document, *at) : std::nullopt;
  if (!meaning || meaning->span.empty()) return nullptr;
  return location_of(document, meaning->span);
}

json formatting(const Document& document) {
  SourceMap sources;
  Diagnostics diagnostics;
  const uint32_t file = sources.add({"text", document.text});
  const std::optional<std::string> formatted = format_text(sources, file, diagnostics, document.limits);
  if (!formatted || *formatted == document.text) return json::array();
  return json::array({{{"range", range_of(document.text, 0, document.text.size())}, {"newText", *formatted}}});
}

json inlay_hints(const Document& document, size_t begin, size_t end) {
  constexpr int kType = 1;
  json hints = json::array();
  for (const Declared& d : document.declared) {
    if (!d.assigned || d.span.begin < begin || d.span.end > end) continue;
    const auto types = bound_at(document, d.span);
    if (types.size() != 1 || !types[0]->is_tensor) continue;  // another type in each call: none is right
    const Position p = position_of(document.text, d.span.end);
    hints.push_back({{"position", {{"line", p.line}, {"character", p.character}}},
                     {"label", ": " + types[0]->type},
                     {"kind", kType}});
  }
  return hints;
}

namespace {

bool is_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name[0]) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// `lr` of `adam(lr = 1e-3)`: the name of another's parameter.
bool is_key(const Document& document, size_t at) {
  const auto kind = [&](size_t i) { return document.tokens[i].kind; };
  if (at == 0 || at + 1 >= document.tokens.size() || kind(at + 1) != TokenKind::Equal) return false;
  return kind(at - 1) == TokenKind::OpenParen || kind(at - 1) == TokenKind::OpenBrace ||
         kind(at - 1) == TokenKind::Comma;
}

/// Where a name of the data is written: objectives and metrics take a field by its name, and `eval` a split.
class NameOfData {
 public:
  NameOfData(const Document& document, const Meaning& meaning) : document_(document), name_(meaning.name) {
    for (const ast::DataDecl& data : document.tree.data) {
      for (const ast::FieldDecl& entry : data.entries) {
        const bool is_split = !entry.type.valid();
        if (entry.name.text == name_ || std::ranges::find(entry.others, name_, &ast::Ident::text) != entry.others.end())
          add(data.name.span), is_split_ |= is_split;
      }
    }
    if (sections_.empty()) return;
    if (!is_split_) {
      for (const ast::ObjectiveDecl& objective : document.tree.objectives) add_taker(objective);
      for (const ast::FnDecl& fn : document.tree.fns)
        if (fn.kind == ast::FnKind::Metric) add_taker(fn);
    }
    if (!sections_.contains(document.section_around(meaning.span.begin).first)) sections_.clear();
  }

  bool holds(Span place) const { return sections_.contains(document_.section_around(place.begin).first); }
  bool is_evaluated(size_t token) const {
    return is_split_ && !sections_.empty() && token > 0 && document_.tokens[token - 1].text == "eval";
  }

 private:
  void add(Span declared) { sections_.insert(document_.section_around(declared.begin).first); }
  template <typename Decl>
  void add_taker(const Decl& decl) {
    if (std::ranges::any_of(decl.params, [&](const ast::Param& param) { return param.name.text == name_; }))
      add(decl.name.span);
  }

  const Document& document_;
  const std::string& name_;
  std::set<uint32_t> sections_;  // where they begin
  bool is_split_ = false;
};

/// What each name means: the token where it is declared, or none, and then a name of the library means its text. Two
/// documents that differ in the names of tokens alone can be compared by it; `renamed` are those names.
std::vector<std::pair<size_t, std::string>> meanings_of(const Document& document,
                                                        const std::array<std::string, 2>& renamed) {
  std::map<uint32_t, size_t> token_at;
  for (size_t i = 0; i < document.tokens.size(); ++i) token_at[document.tokens[i].span.begin] = i;
  std::vector<std::pair<size_t, std::string>> meanings;
  for (size_t i = 0; i < document.tokens.size(); ++i) {
    const std::optional<Meaning> meaning = meaning_of(document, i);
    const bool declares = meaning && meaning->span == document.tokens[i].span;
    if (is_key(document, i) && !declares) {  // a name of what is called
      meanings.emplace_back(document.tokens.size(), document.tokens[i].text);
      continue;
    }
    const bool here = meaning && meaning->kind != Meaning::Kind::Library && token_at.contains(meaning->span.begin);
    meanings.emplace_back(
        here ? token_at[meaning->span.begin] : document.tokens.size(),
        meaning && !here && std::ranges::find(renamed, meaning->name) == renamed.end() ? meaning->name : "");
  }
  return meanings;
}

/// The first line on which a name means another thing in `after`, which differs from `before` in names alone.
std::optional<size_t> line_of_other_meaning(const Document& before, const Document& after,
                                            const std::array<std::string, 2>& renamed) {
  const auto then = meanings_of(before, renamed), now = meanings_of(after, renamed);
  const auto [first, other] = std::ranges::mismatch(then, now);
  if (first == then.end() && other == now.end()) return std::nullopt;
  const auto at = std::min(static_cast<size_t>(first - then.begin()), before.tokens.size() - 1);
  return static_cast<size_t>(position_of(before.text, before.tokens[at].span.begin).line) + 1;
}

std::string with_replaced(const std::string& text, const std::vector<Span>& places, const std::string& by) {
  std::string out = text;
  for (size_t i = places.size(); i-- > 0;) out.replace(places[i].begin, places[i].end - places[i].begin, by);
  return out;
}

}  // namespace

Renamed rename(const Document& document, size_t offset, const std::string& name) {
  const std::optional<size_t> at = document.name_at(offset);
  const std::optional<Meaning> meaning = at ? meaning_of(document, *at) : std::nullopt;
  if (!meaning) return {nullptr, "this is no name that the file declares"};
  if (meaning->kind == Meaning::Kind::Library) {
    const bool known =
        std::ranges::any_of(library_entries(), [&](const LibraryEntry& entry) { return entry.name == meaning->name; });
    return {nullptr, known ? fmt::format("`{}` is a name of the library", meaning->name)
                           : fmt::format("`{}` is no name that a declaration of the file gives", meaning->name)};
  }
  if (!is_name(name)) return {nullptr, fmt::format("`{}` is not a name: letters, digits and _", name)};
  std::vector<Span> places;
  const NameOfData of_data(document, *meaning);
  for (size_t i = 0; i < document.tokens.size(); ++i) {
    if (document.tokens[i].text != meaning->name) continue;
    if (of_data.is_evaluated(i)) places.push_back(document.tokens[i].span);
    const std::optional<Meaning> other = meaning_of(document, i);
    if (!other || other->kind != meaning->kind) continue;
    const bool same = meaning->kind == Meaning::Kind::File || of_data.holds(other->span) ||
                      document.section_around(other->span.begin) == document.section_around(meaning->span.begin);
    if (!same || (is_key(document, i) && document.tokens[i].span != other->span)) continue;
    places.push_back(document.tokens[i].span);
  }
  const Document after = analyse(document.uri, with_replaced(document.text, places, name), document.limits);
  if (after.diagnostics.num_errors() > document.diagnostics.num_errors()) {
    const Diagnostic first = after.diagnostics.sorted().front();
    return {nullptr, fmt::format("with that name the file would have an error: {}", first.message)};
  }
  if (const std::optional<size_t> line = line_of_other_meaning(document, after, {meaning->name, name}))
    return {nullptr, fmt::format("`{}` has a meaning already: line {} would say another thing", name, *line)};
  json edits = json::array();
  for (const Span place : places)
    edits.push_back({{"range", range_of(document.text, place.begin, place.end)}, {"newText", name}});
  return {json{{"changes", {{document.uri, edits}}}}, {}};
}

}  // namespace smelt::cli::lsp
