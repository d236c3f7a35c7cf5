#include "frontend/library.h"

#include <fmt/format.h>

#include <map>
#include <mutex>

#include "frontend/parser.h"
#include "ir/support/check.h"
#include "ir/support/embedded_text.h"

namespace smelt {

extern const EmbeddedText embedded_standard_library[];

namespace frontend {

namespace {

/// Calls f(Ident, Decl) for each declaration that lives in the file's one namespace.
template <typename F>
void for_each_name(const ast::Ast& ast, F f) {
  for (const auto& d : ast.dims) f(d.name, Decl(&d));
  for (const auto& d : ast.configs) f(d.name, Decl(&d));
  for (const auto& d : ast.consts) f(d.name, Decl(&d));
  for (const auto& d : ast.layers) f(d.name, Decl(&d));
  for (const auto& d : ast.models) f(d.name, Decl(&d));
  for (const auto& d : ast.fns)
    if (d.kind == ast::FnKind::Fn) f(d.name, Decl(&d));
  for (const auto& d : ast.optimisers) f(d.name, Decl(&d));
  for (const auto& train : ast.trains) {
    for (const auto& item : train.items)
      if (const auto* ema = std::get_if<ast::EmaItem>(&item.node)) f(ema->name, Decl(ema));
  }
}

/// Objectives, metrics, exports and data sections: each kind has names of its own, because none occurs in
/// expressions. Objectives and metrics share theirs, because `eval` takes both.
template <typename Decls>
void check_twice(const Decls& decls, std::string_view what, Diagnostics& diagnostics) {
  std::map<std::string, Span> seen;
  for (const auto& d : decls) {
    const auto [first, fresh] = seen.try_emplace(d.name.text, d.name.span);
    if (fresh) continue;
    diagnostics.report(Diag::E0303, d.name.span, fmt::format("{} `{}` is declared twice", what, d.name.text))
        .label(first->second, "first here");
  }
}

/// Lines of two train sections that average one net under one name: each section moves the same average.
bool is_one_average(const ast::Ast& ast, Decl first, Decl second) {
  const auto* const* a = std::get_if<const ast::EmaItem*>(&first);
  const auto* const* b = std::get_if<const ast::EmaItem*>(&second);
  if (a == nullptr || b == nullptr) return false;
  const auto* net = ast.as<ast::NameExpr>((*a)->model);
  const auto* other = ast.as<ast::NameExpr>((*b)->model);
  const auto lines_of_name = [&](const ast::TrainDecl& train) {
    return std::ranges::count_if(train.items, [&](const ast::TrainItem& item) {
      const auto* line = std::get_if<ast::EmaItem>(&item.node);
      return line != nullptr && line->name.text == (*b)->name.text;
    });
  };
  return net != nullptr && other != nullptr && net->name == other->name &&
         std::ranges::all_of(ast.trains, [&](const ast::TrainDecl& train) { return lines_of_name(train) <= 1; });
}

}  // namespace

void declare_names(FileScope& scope, Diagnostics& diagnostics) {
  std::map<std::string, Span> spans;
  for_each_name(scope.ast, [&](const ast::Ident& name, Decl decl) {
    const auto [first, fresh] = spans.try_emplace(name.text, name.span);
    if (fresh)
      scope.names.emplace(name.text, decl);
    else if (!is_one_average(scope.ast, scope.names.at(name.text), decl))
      diagnostics.report(Diag::E0303, name.span, fmt::format("`{}` is declared twice", name.text))
          .label(first->second, "first here");
  });
  check_twice(scope.ast.objectives, "objective", diagnostics);
  check_twice(scope.ast.data, "data section", diagnostics);
  std::vector<ast::FnDecl> metrics, exports;
  for (const ast::FnDecl& d : scope.ast.fns) {
    if (d.kind == ast::FnKind::Metric) metrics.push_back(d);
    if (d.kind == ast::FnKind::Export) exports.push_back(d);
  }
  for (const ast::FnDecl& metric : metrics) {
    const auto same =
        std::ranges::find(scope.ast.objectives, metric.name.text, [](const auto& d) { return d.name.text; });
    if (same == scope.ast.objectives.end()) continue;
    diagnostics
        .report(Diag::E0303, metric.name.span, fmt::format("`{}` is an objective and a metric", metric.name.text))
        .label(same->name.span, "the objective")
        .with_help("evaluations name either: choose another name; an objective is evaluated as it is");
  }
  std::vector<ast::TrainDecl> trains;
  for (const ast::TrainDecl& train : scope.ast.trains) {
    if (!train.name.empty()) {
      trains.push_back(train);
    } else if (&train != &scope.ast.trains[0]) {
      diagnostics
          .report(Diag::E0303, {train.span.file, train.span.begin, train.span.begin + 5},
                  "a second train section has a name")
          .label({scope.ast.trains[0].span.file, scope.ast.trains[0].span.begin, scope.ast.trains[0].span.begin + 5},
                 "the first one")
          .with_help("write `train second { .. }`, and choose it with `--train second`");
    }
  }
  check_twice(trains, "train section", diagnostics);
  check_twice(metrics, "metric", diagnostics);
  check_twice(exports, "export", diagnostics);
}

namespace {

uint32_t add_file(SourceMap& sources, const EmbeddedText& text) {
  return sources.add({fmt::format("std/{}.smelt", text.name), text.text, true});
}

std::unique_ptr<const FileScope> parse_file(SourceMap& sources, const EmbeddedText& text, Diagnostics& diagnostics) {
  auto scope = std::make_unique<FileScope>();
  scope->file = add_file(sources, text);
  scope->library = true;
  scope->name = text.name;
  scope->ast = parse(sources, scope->file, diagnostics);
  declare_names(*scope, diagnostics);
  return scope;
}

}  // namespace

Library::Library(SourceMap& sources) : files_(parsed(sources.size())) {
  for (const EmbeddedText* text = embedded_standard_library; text->name != nullptr; ++text) add_file(sources, *text);
}

/// Places in trees have numbers of files, so there are trees for each number that the first one had: 1 behind one file.
std::shared_ptr<const Library::Files> Library::parsed(uint32_t first_file) {
  static std::mutex mutex;
  static std::map<uint32_t, std::shared_ptr<const Files>> all;
  const std::lock_guard lock(mutex);
  std::shared_ptr<const Files>& files = all[first_file];
  if (files != nullptr) return files;
  SourceMap sources;
  while (sources.size() < first_file) sources.add({});
  Diagnostics diagnostics;
  Files made;
  for (const EmbeddedText* text = embedded_standard_library; text->name != nullptr; ++text)
    made.push_back(parse_file(sources, *text, diagnostics));
  SMELT_CHECK(!diagnostics.has_errors(), "the standard library does not parse:\n{}", render(diagnostics, sources));
  files = std::make_shared<const Files>(std::move(made));
  return files;
}

const FileScope* Library::find_file(std::string_view name) const {
  for (const auto& file : *files_)
    if (file->name == name) return file.get();
  return nullptr;
}

std::pair<const FileScope*, Decl> Library::find(std::string_view name) const {
  for (const auto& file : *files_) {
    const auto found = file->names.find(name);
    if (found != file->names.end()) return {file.get(), found->second};
  }
  return {nullptr, {}};
}

std::vector<std::string> Library::names() const {
  std::vector<std::string> all;
  for (const auto& file : *files_)
    for (const auto& [name, decl] : file->names)
      if (!is_inner_name(name)) all.push_back(name);
  return all;
}

namespace {

/// A declaration's text: from the comment lines above its first line to the line before the next blank line.
std::string declaration_text(std::string_view file, size_t at) {
  size_t begin = file.rfind('\n', at);
  begin = begin == std::string_view::npos ? 0 : begin + 1;
  while (begin > 0) {
    const size_t above = begin == 1 ? 0 : file.rfind('\n', begin - 2) + 1;
    if (file[above] != '#') break;
    begin = above;
  }
  const size_t end = std::min(file.find("\n\n", at), file.size());
  std::string text(file.substr(begin, end - begin));
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

}  // namespace
}  // namespace frontend

std::optional<std::string> show_library(std::string_view name) {
  if (!name.starts_with("std.")) return std::nullopt;
  name.remove_prefix(4);
  const std::string_view file_name = name.substr(0, name.find('.'));
  SourceMap sources;
  const frontend::Library library(sources);
  const frontend::FileScope* const file = library.find_file(file_name);
  if (file == nullptr) return std::nullopt;
  const std::string_view text = sources.buffer(file->file).text;
  if (file_name.size() == name.size()) return std::string(text);
  std::optional<std::string> found;
  frontend::for_each_name(file->ast, [&](const ast::Ident& ident, const frontend::Decl&) {
    if (ident.text == name.substr(file_name.size() + 1)) found = frontend::declaration_text(text, ident.span.begin);
  });
  return found;
}

std::vector<std::string> library_names() {
  SourceMap sources;
  const frontend::Library library(sources);
  std::vector<std::string> all;
  for (const EmbeddedText* text = embedded_standard_library; text->name != nullptr; ++text) {
    for (const auto& [name, decl] : library.find_file(text->name)->names)
      all.push_back(fmt::format("std.{}.{}", text->name, name));
  }
  return all;
}

}  // namespace smelt
