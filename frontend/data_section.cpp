#include "frontend/data_section.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>

#include "frontend/evaluator.h"
#include "frontend/reader_options.h"
#include "frontend/shapes.h"
#include "ir/readers.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

void DataSection::find_data() {
  const auto& sections = file_.ast.data;
  const ast::TrainDecl* const train = train_section(file_);
  if (train != nullptr) {
    for (const ast::TrainItem& item : train->items)
      if (const auto* named = std::get_if<ast::DataItem>(&item.node)) find_section(*named);
  }
  if (data_.empty() && train == nullptr && !sections.empty()) data_.push_back(&sections[0]);
  probed_.resize(data_.size());
  if (!data_.empty()) read_columns();
}

void DataSection::find_section(const ast::DataItem& named) {
  const auto& sections = file_.ast.data;
  const auto found = std::ranges::find(sections, named.name.text, [](const ast::DataDecl& d) { return d.name.text; });
  if (found != sections.end()) {
    if (std::ranges::find(data_, &*found) == data_.end()) return data_.push_back(&*found);
    diagnostics_.report(Diag::E0605, named.name.span, fmt::format("`data {}` is given twice", named.name.text))
        .with_help("a train section reads several data sections by a line each, and each of them once");
    return;
  }
  std::vector<std::string> names;
  for (const ast::DataDecl& d : sections) names.push_back(d.name.text);
  names_unknown_section_ = true;
  Diagnostic& diagnostic =
      diagnostics_.report(Diag::E0606, named.name.span, fmt::format("no data section `{}`", printable(named.name.text)))
          .with_help(did_you_mean(named.name.text, names));
  if (sections.size() == 1) diagnostic.label(sections[0].name.span, "declared here, and named nowhere");
}

std::vector<std::string> DataSection::sections_without(std::string_view split) const {
  std::vector<std::string> names;
  if (!experiment_.data) return names;
  const DataPlan& plan = *experiment_.data;
  for (int32_t section = 0; section < plan.num_sections(); ++section) {
    const bool has =
        std::ranges::any_of(plan.splits, [&](const Split& s) { return s.section == section && s.name == split; });
    if (!has) names.push_back(plan.section_name(section));
  }
  return names;
}

void DataSection::check_data_sections() {
  std::vector<std::string> names;
  for (const ast::DataDecl& decl : file_.ast.data) names.push_back(decl.name.text);
  for (const ast::ModelDecl& decl : file_.ast.models)
    if (decl.from.valid()) names.push_back(decl.name.text);
  for (const std::string& section : options_.data_sections) {
    if (std::ranges::find(names, section) != names.end()) continue;
    std::string help = did_you_mean(section, names);
    if (help.empty())
      help = names.empty() ? "the file has no `data`" : fmt::format("the file has {}", fmt::join(names, ", "));
    diagnostics_.report(Diag::E0310, {}, fmt::format("`--data {}=..` names no data section", printable(section)))
        .with_help(std::move(help));
  }
}

/// `split(0.9)` behind `|>`: where each of `count` parts begins and ends.
std::optional<std::vector<Share>> DataSection::read_shares(ast::ExprId stage, size_t count) {
  const Span span = file_.ast[stage].span;
  const auto* call = file_.ast.as<ast::CallExpr>(stage);
  const auto* name = call != nullptr ? file_.ast.as<ast::NameExpr>(call->callee) : nullptr;
  constexpr std::string_view kForm = "write `train, valid = images(\"pets/**/*.png\", size = 64) |> split(0.9)`";
  if (name == nullptr || name->name != "split") {
    diagnostics_.report(Diag::E0301, span, "a reader goes through `|> split(..)` only").with_help(std::string(kForm));
    return std::nullopt;
  }
  std::vector<Share> shares;
  double from = 0;
  for (const ast::Arg& arg : call->args) {
    const std::optional<double> part = shapes_.number_of(evaluator_.eval(arg.value));
    if (!arg.name.empty() || !part || !(*part > 0) || !(from + *part < 1)) {
      diagnostics_.report(Diag::E0503, file_.ast[arg.value].span, "shares are above 0, and below 1 in all")
          .with_help("the last split has what the others leave: `split(0.9)` is 0.9 and 0.1");
      return std::nullopt;
    }
    shares.push_back({from, from + *part});
    from += *part;
  }
  shares.push_back({from, 1});
  if (shares.size() == count && count > 1) return shares;
  diagnostics_
      .report(Diag::E0401, span,
              fmt::format("`split` of {} makes {} splits, and {} named",
                          call->args.size() == 1 ? "one share" : fmt::format("{} shares", call->args.size()),
                          shares.size(), count == 1 ? "one is" : fmt::format("{} are", count)))
      .with_help(std::string(kForm));
  return std::nullopt;
}

/// Folders of pictures and of sounds are read by patterns, every other file by its name.
void DataSection::refuse_pattern(const ReaderRecord& reader, const std::string& path, Span span) {
  const bool takes_patterns = reader.kind == FileKind::Picture || reader.kind == FileKind::Sound;
  if (takes_patterns || path.find_first_of("*?") == std::string::npos) return;
  const bool several = reader.typed();  // whose files are one set of rows
  diagnostics_
      .report(Diag::E0401, span,
              fmt::format("`{}` takes no patterns: `{}` is the name of no file", reader.name, printable(path, 80)))
      .with_help(several ? fmt::format("name each file: `{}(\"a.txt\", \"b.txt\", ..)`", reader.name)
                         : "name the file itself; patterns are for `images` and `audio`");
}

/// A call of a reader; nothing when it is none.
std::optional<SourceCall> DataSection::read_source(ast::ExprId id, const std::string& split) {
  const auto* call = file_.ast.as<ast::CallExpr>(id);
  const auto* name = call != nullptr ? file_.ast.as<ast::NameExpr>(call->callee) : nullptr;
  const Span span = file_.ast[id].span;
  const ReaderRecord* reader = name != nullptr ? find_reader_record(name->name) : nullptr;
  if (reader == nullptr) {
    std::vector<std::string_view> names;
    for (const ReaderRecord& r : kReaders) names.push_back(r.name);
    std::string help = name != nullptr ? did_you_mean(name->name, names) : "";
    const auto* path = file_.ast.as<ast::StringExpr>(id);
    if (help.empty() && path != nullptr)
      help = fmt::format("a path goes through a reader: `csv(\"{}\")`", printable(path->value, 80));
    if (help.empty()) {
      help =
          fmt::format("there are {}: `train = idx(\"images\", \"labels\")`; a field has a type: `x: f32[Pixel] = ..`",
                      fmt::join(names, ", "));
    }
    diagnostics_
        .report(Diag::E0301, span,
                name != nullptr ? fmt::format("`{}` is not a reader", printable(name->name))
                                : fmt::format("split `{}` is not a reader", split))
        .with_help(std::move(help));
    return std::nullopt;
  }
  SourceCall source{std::string(reader->name), {}, span};
  for (const ast::Arg& arg : call->args) {
    const auto* path = file_.ast.as<ast::StringExpr>(arg.value);
    if (reader->typed() && !arg.name.empty()) continue;  // an option
    if (path != nullptr && arg.name.empty()) {
      refuse_pattern(*reader, path->value, file_.ast[arg.value].span);
      source.paths.push_back(path->value);
    } else
      diagnostics_
          .report(Diag::E0401, file_.ast[arg.value].span,
                  arg.name.empty() ? fmt::format("`{}` takes paths as strings", reader->name)
                                   : fmt::format("`{}` has no option `{}`", reader->name, printable(arg.name.text)))
          .with_help(arg.name.empty() ? fmt::format("write `{}`", reader->example) : std::string(reader->fields));
  }
  if (reader->typed()) read_reader_options(file_.ast, *call, source, evaluator_, shapes_, diagnostics_);
  if (source.paths.empty() && (call->args.empty() || reader->typed()))
    diagnostics_.report(Diag::E0401, span, fmt::format("`{}` lacks a path", reader->name))
        .with_help(fmt::format("write `{}`", reader->example));
  return source;
}

/// `train = idx(..)`, or `train, valid = images(..) |> split(0.9)`.
void DataSection::read_split(const ast::FieldDecl& entry, int32_t section, DataPlan& plan) {
  std::vector<ast::Ident> names = {entry.name};
  names.insert(names.end(), entry.others.begin(), entry.others.end());
  std::vector<Share> shares(1);
  ast::ExprId value = entry.value;
  if (const auto* pipe = file_.ast.as<ast::PipeExpr>(value)) {
    std::optional<std::vector<Share>> parts = read_shares(pipe->stage, names.size());
    if (!parts) return;
    shares = std::move(*parts);
    value = pipe->value;
  } else if (names.size() > 1) {
    diagnostics_.report(Diag::E0401, file_.ast[value].span, fmt::format("{} splits of one reader", names.size()))
        .with_help("say how large they are: `train, valid = .. |> split(0.9)`");
    return;
  }
  const std::optional<SourceCall> source = read_source(value, entry.name.text);
  if (!source) return;
  for (size_t i = 0; i < names.size(); ++i) {
    if (std::ranges::any_of(plan.splits,
                            [&](const Split& s) { return s.section == section && s.name == names[i].text; }))
      diagnostics_.report(Diag::E0303, names[i].span, fmt::format("split `{}` is declared twice", names[i].text));
    plan.splits.push_back({names[i].text, *source, shares[i], section});
  }
}

/// What the files of each split of a section hold, where they are at hand. All splits have to look alike.
void DataSection::probe_splits(const DataPlan& plan, int32_t section) {
  const Split& first = first_split(plan, section);
  std::vector<Column>& known = probed_[static_cast<size_t>(section)];
  for (const Split& split : plan.splits) {
    if (split.section != section) continue;
    std::optional<std::vector<Column>> columns;
    if (options_.probe) {
      Result<std::optional<std::vector<Column>>> probed = options_.probe(plan.section_name(section), split.source);
      if (!probed) {
        diagnostics_.report(Diag::E0604, split.source.span, probed.error().message).with_help(probed.error().help);
        data_failed_ = true;
        if (!split.share.whole()) return;  // the others are of the same files
        continue;
      }
      columns = std::move(*probed);
    }
    if (find_reader_record(split.source.reader)->typed()) columns = typed_columns(split.source);
    if (!columns) continue;
    if (known.empty()) known = *columns;
    const auto same = [](const Column& a, const Column& b) {
      return a.field == b.field && a.dtype == b.dtype && a.row_shape == b.row_shape &&
             a.length_symbol == b.length_symbol;
    };
    if (!std::ranges::equal(known, *columns, same)) {
      data_failed_ = true;
      diagnostics_
          .report(Diag::E0604, split.source.span,
                  fmt::format("split `{}` has other columns than `{}`", split.name, first.name))
          .label(first.source.span, "compared with this");
    }
  }
}

void DataSection::read_section(int32_t section, DataPlan& plan) {
  const ast::DataDecl& decl = *data_[static_cast<size_t>(section)];
  const size_t before = diagnostics_.reported_errors();
  for (const ast::FieldDecl& entry : decl.entries) {
    if (!entry.type.valid()) read_split(entry, section, plan);
  }
  if (!has_split(plan, section) && diagnostics_.reported_errors() == before)
    diagnostics_.report(Diag::E0605, decl.name.span, fmt::format("data section `{}` has no split", decl.name.text))
        .with_help("write `train = idx(\"images\", \"labels\")`");
}

void DataSection::read_columns() {
  Frame frame(file_, &scopes_.frame());
  const auto entered = scopes_.enter(frame);
  DataPlan plan;
  plan.name = data_[0]->name.text;
  plan.span = data_[0]->span;
  plan.seed = options_.seed.value_or(0);  // that of the train section comes later
  for (const ast::DataDecl* decl : std::span(data_).subspan(1)) plan.more.push_back(decl->name.text);
  const size_t before = diagnostics_.reported_errors();  // elsewhere: they say nothing of the data
  for (int32_t section = 0; section < plan.num_sections(); ++section) read_section(section, plan);
  data_failed_ = diagnostics_.reported_errors() > before;
  check_field_names();
  for (int32_t section = 0; section < plan.num_sections() && diagnostics_.reported_errors() == before; ++section)
    probe_splits(plan, section);
  experiment_.data = std::move(plan);
}

/// An objective takes fields by their names, whatever section they are of.
void DataSection::check_field_names() {
  std::map<std::string, std::pair<Span, const ast::DataDecl*>> fields;
  for (const ast::DataDecl* decl : data_) {
    for (const ast::FieldDecl& entry : decl->entries) {
      if (!entry.type.valid()) continue;
      const auto [first, fresh] = fields.try_emplace(entry.name.text, entry.name.span, decl);
      if (fresh) continue;
      const ast::DataDecl* other = first->second.second;
      Diagnostic& diagnostic =
          diagnostics_
              .report(Diag::E0303, entry.name.span,
                      other == decl ? fmt::format("field `{}` is declared twice", entry.name.text)
                                    : fmt::format("`{}` and `{}` both have a field `{}`", other->name.text,
                                                  decl->name.text, entry.name.text))
              .label(first->second.first, "first here");
      if (other != decl)
        diagnostic.with_help(
            "a train section that reads both needs a name for each, because objectives take fields by their names");
    }
  }
}

}  // namespace smelt::frontend
