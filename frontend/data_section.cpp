#include "frontend/data_section.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/readers.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

void DataSection::find_data() {
  const auto& sections = file_.ast.data;
  const ast::TrainDecl* const train = train_section(file_);
  if (train != nullptr) {
    for (const ast::TrainItem& item : train->items) {
      const auto* named = std::get_if<ast::DataItem>(&item.node);
      if (named == nullptr) continue;
      const auto found =
          std::ranges::find(sections, named->name.text, [](const ast::DataDecl& d) { return d.name.text; });
      if (found != sections.end())
        data_ = &*found;
      else {
        std::vector<std::string> names;
        for (const ast::DataDecl& d : sections) names.push_back(d.name.text);
        diagnostics_
            .report(Diag::E0606, named->name.span, fmt::format("no data section `{}`", printable(named->name.text)))
            .with_help(did_you_mean(named->name.text, names));
      }
    }
  }
  if (data_ == nullptr && train == nullptr && !sections.empty()) data_ = &sections[0];
  if (data_ != nullptr) read_columns();
}

void DataSection::check_data_sections() {
  std::vector<std::string> names;
  for (const ast::DataDecl& decl : file_.ast.data) names.push_back(decl.name.text);
  for (const std::string& section : options_.data_sections) {
    if (std::ranges::find(names, section) != names.end()) continue;
    std::string help = did_you_mean(section, names);
    if (help.empty())
      help = names.empty() ? "the file has no `data`" : fmt::format("the file has {}", fmt::join(names, ", "));
    diagnostics_.report(Diag::E0310, {}, fmt::format("`--data {}=..` names no data section", printable(section)))
        .with_help(std::move(help));
  }
}

void DataSection::read_columns() {
  DataPlan plan;
  plan.name = data_->name.text;
  plan.span = data_->span;
  for (const ast::FieldDecl& entry : data_->entries) {
    if (entry.type.valid()) continue;
    Split split{entry.name.text, {}};
    const auto* call = file_.ast.as<ast::CallExpr>(entry.value);
    const auto* name = call != nullptr ? file_.ast.as<ast::NameExpr>(call->callee) : nullptr;
    const Span span = file_.ast[entry.value].span;
    const ReaderRecord* reader = nullptr;
    if (name != nullptr)
      for (const ReaderRecord& r : kReaders)
        if (r.name == name->name) reader = &r;
    if (reader == nullptr) {
      std::vector<std::string_view> names;
      for (const ReaderRecord& r : kReaders) names.push_back(r.name);
      std::string help = name != nullptr ? did_you_mean(name->name, names) : "";
      diagnostics_.report(Diag::E0301, span, fmt::format("split `{}` is not a reader", entry.name.text))
          .with_help(help.empty()
                         ? "write `train = idx(\"images\", \"labels\")`; a field has a type: `x: f32[Pixel] = ..`"
                         : help);
      continue;
    }
    if (reader->planned) {
      unsupported(diagnostics_, span, fmt::format("reader `{}`", reader->name));
      continue;
    }
    split.source.reader = reader->name;
    split.source.span = span;
    for (const ast::Arg& arg : call->args) {
      const auto* path = file_.ast.as<ast::StringExpr>(arg.value);
      if (path != nullptr && arg.name.empty())
        split.source.paths.push_back(path->value);
      else
        diagnostics_.report(Diag::E0401, file_.ast[arg.value].span,
                            fmt::format("`{}` takes paths as strings", reader->name));
    }
    if (call->args.empty())
      diagnostics_.report(Diag::E0401, span, fmt::format("`{}` lacks a path", reader->name))
          .with_help("write `idx(\"train-images-idx3-ubyte\")`");
    if (std::ranges::any_of(plan.splits, [&](const Split& s) { return s.name == split.name; })) {
      diagnostics_.report(Diag::E0303, entry.name.span, fmt::format("split `{}` is declared twice", split.name));
    }
    plan.splits.push_back(std::move(split));
  }
  std::map<std::string, Span> fields;
  for (const ast::FieldDecl& entry : data_->entries) {
    if (!entry.type.valid()) continue;
    const auto [first, fresh] = fields.try_emplace(entry.name.text, entry.name.span);
    if (!fresh)
      diagnostics_.report(Diag::E0303, entry.name.span, fmt::format("field `{}` is declared twice", entry.name.text))
          .label(first->second, "first here");
  }
  if (plan.splits.empty() && !diagnostics_.has_errors())
    diagnostics_.report(Diag::E0605, data_->name.span, fmt::format("data section `{}` has no split", plan.name))
        .with_help("write `train = idx(\"images\", \"labels\")`");
  if (options_.probe && !diagnostics_.has_errors()) {
    for (const Split& split : plan.splits) {
      const Result<std::optional<std::vector<Column>>> probed = options_.probe(plan.name, split.source);
      if (!probed) {
        diagnostics_.report(Diag::E0604, split.source.span, probed.error().message).with_help(probed.error().help);
        data_failed_ = true;
        continue;
      }
      if (!*probed) continue;
      const std::optional<std::vector<Column>>& columns = *probed;
      if (probed_.empty()) probed_ = *columns;
      const auto same = [](const Column& a, const Column& b) {
        return a.field == b.field && a.dtype == b.dtype && a.row_shape == b.row_shape;
      };
      if (!std::ranges::equal(probed_, *columns, same)) {
        data_failed_ = true;
        diagnostics_
            .report(Diag::E0604, split.source.span,
                    fmt::format("split `{}` has other columns than `{}`", split.name, plan.splits.front().name))
            .label(plan.splits.front().source.span, "compared with this");
      }
    }
  }
  experiment_.data = std::move(plan);
}

}  // namespace smelt::frontend
