// The fields of a data section, as expressions on the rows of a batch.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/data_section.h"
#include "frontend/evaluator.h"
#include "frontend/signatures.h"
#include "ir/readers.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

constexpr int64_t kMaxRows = 2147483647;

/// What is known of column `field` of the section at hand; nothing after an error.
std::optional<Column> DataSection::describe_column(int32_t field, Span span) {
  const FieldRead& read = *scopes_.frame().around.field;
  const SourceCall& source = first_split(*experiment_.data, read.section).source;
  const std::vector<Column>& known = probed_[static_cast<size_t>(read.section)];
  Column column{field, DType::U8, {}, span, read.section};
  if (field < Column::kWholeRow) {
    diagnostics_.report(Diag::E0109, span, "fields are counted from 0")
        .with_help(std::string(find_reader_record(source.reader)->fields));
    return std::nullopt;
  }
  if (field == Column::kWholeRow && find_reader_record(source.reader)->field_is_file) {
    diagnostics_
        .report(Diag::E0109, span,
                fmt::format("`row()` is all columns of a csv file, and `{}` has none", source.reader))
        .with_help(std::string(find_reader_record(source.reader)->fields));
    return std::nullopt;
  }
  const auto probed = std::ranges::find(known, field, &Column::field);
  if (probed != known.end()) {
    column.dtype = probed->dtype;
    column.row_shape = probed->row_shape;
    const bool padded = read.row.size() == 1 && read.row[0].extent.is_static();
    column.length_symbol = padded ? -1 : probed->length_symbol;
  } else if (!known.empty() && field == Column::kWholeRow) {
    column.dtype = known.front().dtype;  // all columns side by side
    column.row_shape = {static_cast<int64_t>(known.size())};
  } else if (!known.empty()) {
    diagnostics_
        .report(Diag::E0109, span,
                fmt::format("the reader has {} field{}, counted from 0", known.size(), known.size() == 1 ? "" : "s"))
        .with_help(std::string(find_reader_record(source.reader)->fields));
    return std::nullopt;
  } else {
    const ReaderRecord* reader = find_reader_record(source.reader);
    // Without its files a column is what its field says. Their readers check it against what is there.
    const size_t files = source.paths.size();
    if (reader->field_is_file && (field < 0 || static_cast<size_t>(field) >= files)) {
      diagnostics_.report(Diag::E0109, span,
                          fmt::format("the reader `{}` has {} fields, counted from 0", source.reader, files));
      return std::nullopt;
    }
    column.dtype = reader->dtype.value_or(read.dtype);
    const int64_t columns =
        field == Column::kWholeRow ? columns_in_parts(*data_[static_cast<size_t>(read.section)]) : 0;
    if (columns > 0) {
      column.row_shape.push_back(columns);
    } else if (reader->field_is_file || field == Column::kWholeRow) {
      for (const Axis& axis : read.row) column.row_shape.push_back(axis.extent.bound);
    }
  }
  return column;
}

/// The numbers of this batch's rows in a data section.
NodeId DataSection::rows_argument(int32_t section, const Axis& batch) {
  FunctionContext& context = graph_.context();
  if (context.rows.empty()) context.batch = batch;
  NodeId& rows = context.rows[section];
  if (rows.valid()) return rows;
  std::string name = section == 0 ? "rows" : "rows_" + experiment_.data->section_name(section);
  rows = graph_.builder().argument({std::move(name), ArgRole::Rows, section == 0 ? -1 : section, {}},
                                   {DType::I32, {batch.extent}});
  return rows;
}

/// The rows of this batch of column k: a gather from the whole raw column.
Value DataSection::field_column(int32_t field, Span span) {
  if (!scopes_.in_field()) {
    diagnostics_.report(Diag::E0403, span, "a column of the data is read in a data section only");
    return {};
  }
  const FieldRead& read = *scopes_.frame().around.field;
  if (data_failed_) return {};  // one mistake in a file is one error
  DataPlan& plan = *experiment_.data;
  const std::optional<Column> column = describe_column(field, span);
  if (!column) return {};
  auto known = std::ranges::find_if(plan.columns, [&](const Column& c) {
    return c.field == field && c.section == read.section && c.length_symbol == column->length_symbol;
  });
  if (known == plan.columns.end()) known = plan.columns.insert(plan.columns.end(), *column);
  note_use(*known, read, span);
  const auto ref = static_cast<int32_t>(known - plan.columns.begin());
  const auto [symbol, fresh] =
      rows_symbols_.try_emplace(read.section, static_cast<int32_t>(experiment_.symbols.size()));
  if (fresh)
    experiment_.symbols.push_back({read.section == 0 ? "rows" : "rows_" + plan.section_name(read.section), kMaxRows});
  NodeId& argument = graph_.context().columns[ref];
  Axes axes{read.batch};
  TensorType type{known->dtype, {Extent(kMaxRows, symbol->second)}};
  for (const int64_t size : known->row_shape) {
    type.shape.emplace_back(known->length_symbol < 0 ? Extent(size) : Extent(size, known->length_symbol));
    axes.push_back({kAnonymous, type.shape.back()});
  }
  if (!argument.valid())
    argument = graph_.builder().argument({fmt::format("column{}", ref), ArgRole::Column, ref, {}}, type);
  const NodeId rows = rows_argument(read.section, read.batch);
  graph_.builder().set_span(span);
  Tensor t = graph_.tensor(graph_.builder().make(OpKind::Gather, {argument, rows}), std::move(axes));
  t.column = ref;
  return Value(t);
}

/// What gives a row the axes that its field declares.
std::string DataSection::help_for_row(const Axes& wanted, const Axes& row, const Axis& batch) const {
  const bool with_batch = !wanted.empty() && shapes_.axis_text(wanted[0]) == shapes_.axis_text(batch);
  if (with_batch)
    return fmt::format("a field is of one row, and {0} counts rows: leave {0} out", shapes_.axis_text(batch));
  const SourceCall& source = first_split(*experiment_.data, scopes_.frame().around.field->section).source;
  if (find_reader_record(source.reader)->typed())
    return fmt::format("the options of `{}` say how large a row is: the dims of the field have to agree with them",
                       source.reader);
  if (source.reader == "csv" && wanted.size() == 1 && row.size() == 1 && row[0].extent == Extent(1))
    return "columns are separated by `,`, `;` or tab; the first line of the file has none of them";
  if (wanted.size() == 1 && row.size() == 1 && source.reader == "csv" && wanted[0].extent.bound < row[0].extent.bound)
    return fmt::format("a part of a row: `row()[0 .. {}]`", wanted[0].extent.bound);
  if (wanted.size() == 1 && row.empty() && source.reader == "csv")
    return fmt::format("`field(k)` is one column; several are side by side in `row()[0 .. {}]`",
                       wanted[0].extent.bound);
  if (num_elements(shape_of(wanted)) == num_elements(shape_of(row)))
    return "`flatten(..)` makes one axis of a row, `reshape(.., [..])` others";
  return "declare what a row is, or take a part of it";
}

/// A field with the batch axis in front, of its declared type.
std::optional<Tensor> DataSection::convert_field(const ast::FieldDecl& decl, Value value, const Axis& batch) {
  const ast::Type& type = file_.ast[decl.type];
  const Span span = file_.ast[decl.value].span;
  DimId label = kAnonymous;
  const std::optional<DType> dtype = signatures_.dtype_of(type, &label);
  std::optional<Axes> axes = signatures_.axes_expression(type.dims);
  if (!dtype || !axes) return std::nullopt;
  axes->insert(axes->begin(), batch);
  std::optional<Tensor> t = graph_.expect_tensor(value, span, dtype);
  if (!t) return std::nullopt;
  bool fits = t->axes.size() == axes->size();
  for (size_t i = 0; fits && i < axes->size(); ++i) fits = shapes_.unify(t->axes[i], (*axes)[i]);
  if (const auto* number = value.as<int64_t>(); number != nullptr && !fits) {
    diagnostics_
        .report(Diag::E0106, span, fmt::format("field `{}` is the number {} in each row", decl.name.text, *number))
        .label(type.span, fmt::format("declared as {}", ast::print(file_.ast, decl.type)))
        .with_help(fmt::format("what the reader gives is `field({})`", *number));
    return std::nullopt;
  }
  if (!fits) {
    Axes row(t->axes.begin() + (t->axes.empty() ? 0 : 1), t->axes.end());
    diagnostics_
        .report(Diag::E0106, span,
                fmt::format("field `{}` is declared as {} but a row is {}", decl.name.text,
                            ast::print(file_.ast, decl.type), shapes_.type_text(t->dtype, row)))
        .label(type.span, "declared here")
        .with_help(help_for_row(Axes(axes->begin() + 1, axes->end()), row, batch));
    return std::nullopt;
  }
  if (label != kAnonymous) {
    if (!limit_labels(*t, label, span)) return std::nullopt;
  } else if (!holds_all(*dtype, t->dtype) && !state_exact(decl, *t, *dtype)) {
    return std::nullopt;
  }
  if (is_float(*dtype)) state_narrowed(decl, *t, *dtype);
  Tensor result = graph_.tensor(graph_.builder().cast(t->node, *dtype), *axes);
  result.label = label;
  result.range = t->range;
  if (!decl.range.valid()) return result;
  if (const std::optional<Range> range = declared_range(decl.range)) {
    result.range = range;
    state_range(decl, *t, *range);
  }
  return result;
}

/// The column of `x` has labels of dim `label`: whoever reads it checks that they are below its size.
bool DataSection::limit_labels(const Tensor& x, DimId label, Span span) {
  if (x.column < 0 || x.dtype == DType::Bool) {
    diagnostics_
        .report(Diag::E0701, span, "labels that are not a column of a file, as it is there, are not supported yet")
        .with_help("write `y: ix<Class> = field(1)`; whole numbers of a float or csv column are labels too");
    return false;
  }
  auto& limits = experiment_.data->limits;
  const Dim& dim = shapes_.dim_of(label);
  const bool known =
      std::ranges::any_of(limits, [&](const ColumnLimit& l) { return l.column == x.column && l.dim == dim.name; });
  if (!known) limits.push_back({x.column, dim.extent.bound, dim.name, span});
  return true;
}

/// `in low..high`
std::optional<Range> DataSection::declared_range(ast::ExprId expr) {
  const auto* range = file_.ast.as<ast::BinaryExpr>(expr);
  const bool is_range = range != nullptr && range->op == ast::BinaryOp::Range;
  const auto low = is_range ? shapes_.number_of(evaluator_.eval(range->lhs)) : std::nullopt,
             high = is_range ? shapes_.number_of(evaluator_.eval(range->rhs)) : std::nullopt;
  if (low && high && *low < *high) return Range{*low, *high};
  diagnostics_.report(Diag::E0503, file_.ast[expr].span, "a range is written `in low..high`, with low below high");
  return std::nullopt;
}

/// Objectives and metrics with a parameter of this name.
int64_t DataSection::num_takers(const std::string& name) const {
  const auto takes = [&](const auto& decl) {
    return std::ranges::any_of(decl.params, [&](const ast::Param& param) { return param.name.text == name; });
  };
  return std::ranges::count_if(file_.ast.objectives, takes) +
         std::ranges::count_if(
             file_.ast.fns, [&](const ast::FnDecl& decl) { return decl.kind == ast::FnKind::Metric && takes(decl); });
}

/// What a field has to be for the first function that takes it: the type of the parameter without the axis of the rows.
std::string DataSection::row_type(const std::string& name) const {
  const auto find = [&](const auto& declarations) -> const ast::Type* {
    for (const auto& decl : declarations) {
      for (const ast::Param& param : decl.params)
        if (param.name.text == name && param.type.valid()) return &file_.ast[param.type];
    }
    return nullptr;
  };
  const ast::Type* type = find(file_.ast.objectives);
  if (type == nullptr) type = find(file_.ast.fns);
  if (type == nullptr || type->dims.empty() || type->dims.front().rest) return "f32[..]";
  std::string text = type->head.text;
  if (!type->index_dim.empty()) text += fmt::format("<{}>", type->index_dim.text);
  std::vector<std::string> sizes;
  for (size_t i = 1; i < type->dims.size(); ++i)
    sizes.push_back(type->dims[i].rest ? "..." : ast::print(file_.ast, type->dims[i].extent));
  return sizes.empty() ? text : fmt::format("{}[{}]", text, fmt::join(sizes, ", "));
}

/// The last field of the only section, behind which another one may stand; its name where it has none.
Span DataSection::place_of_fields() const {
  Span place = data_[0]->name.span;
  for (const ast::FieldDecl& entry : data_[0]->entries)
    if (entry.type.valid()) place = entry.name.span;
  return place;
}

/// Once a name: a field that is missing is missing everywhere.
void DataSection::report_missing(const std::string& name, Span span, const std::vector<std::string>& names) {
  if (!missing_.insert(name).second || names_unknown_section_) return;
  if (!data_.empty()) {
    std::vector<std::string> sections;
    for (const ast::DataDecl* decl : data_) sections.push_back(fmt::format("`{}`", decl->name.text));
    const bool one = sections.size() == 1;
    const bool in_section = one && num_takers(name) > 1;  // what several functions take is missing in the data
    const Span fields = one ? place_of_fields() : data_[0]->name.span;
    diagnostics_
        .report(Diag::E0603, in_section ? data_[0]->span : span,
                one ? fmt::format("data section {} has no field `{}`", sections[0], name)
                    : fmt::format("none of the data sections {} has a field `{}`", fmt::join(sections, ", "), name))
        .label(in_section ? span : fields,
               in_section      ? fmt::format("`{}` is taken here", name)
               : names.empty() ? fmt::format("{} none", one ? "it has" : "they have")
                               : fmt::format("{} {}", one ? "it has" : "they have", fmt::join(names, ", ")))
        .with_help(names.empty() || did_you_mean(name, names).empty()
                       ? fmt::format("add it to the section: `{}: {} = field({})`", name, row_type(name), names.size())
                       : did_you_mean(name, names));
    return;
  }
  const ast::TrainDecl* const train = train_section(file_);
  if (train == nullptr || file_.ast.data.empty()) {
    diagnostics_.report(Diag::E0603, span, fmt::format("`{}` comes from the data, and there is no data section", name))
        .with_help("declare one, and name it in the train section: `data mnist`");
    return;
  }
  const Span head{train->span.file, train->span.begin, train->span.begin + 1};
  diagnostics_
      .report(Diag::E0603, train->items.empty() ? head : train->items[0].span,
              "the train section names no data, and its objectives take some")
      .label(span, fmt::format("`{}` comes from the data", name))
      .with_help(fmt::format("write `data {}` in it", file_.ast.data[0].name.text));
}

std::optional<Tensor> DataSection::field_value(const std::string& name, Span span, const Axis& batch) {
  if (const auto known = graph_.context().fields.find(name); known != graph_.context().fields.end())
    return known->second;
  const ast::FieldDecl* decl = nullptr;
  int32_t section = 0;
  std::vector<std::string> names;
  for (size_t s = 0; s < data_.size(); ++s) {
    for (const ast::FieldDecl& entry : data_[s]->entries) {
      if (!entry.type.valid()) continue;
      names.push_back(entry.name.text);
      if (entry.name.text != name || decl != nullptr) continue;
      decl = &entry;
      section = static_cast<int32_t>(s);
    }
  }
  if (decl == nullptr) {
    report_missing(name, span, names);
    return std::nullopt;
  }
  if (!has_split(*experiment_.data, section)) return std::nullopt;  // reported: without a split there are no rows
  Frame frame(file_, &scopes_.frame());
  const auto entered = scopes_.enter(frame);
  const std::optional<Axes> row = signatures_.axes_expression(file_.ast[decl->type].dims);
  DimId label = kAnonymous;
  const std::optional<DType> dtype = signatures_.dtype_of(file_.ast[decl->type], &label);
  const FieldRead read{batch, row.value_or(Axes()), dtype.value_or(DType::F32), section, label != kAnonymous};
  frame.around.field = &read;
  const Value value = row && dtype ? evaluator_.eval(decl->value) : Value();
  std::optional<Tensor> result = value.bad() ? std::nullopt : convert_field(*decl, value, batch);
  if (result) graph_.context().fields.emplace(name, *result);
  return result;
}

/// The dim of the `batch` line; without a train section the first one that a field is read with.
bool DataSection::is_batch_axis(const Axis& axis) {
  if (!graph_.context().rows.empty() && axis != graph_.context().batch) return false;
  const ast::TrainDecl* const train = train_section(file_);
  if (train == nullptr) return true;
  for (const ast::TrainItem& item : train->items) {
    const auto* batch = std::get_if<ast::BatchItem>(&item.node);
    if (batch != nullptr) return shapes_.axis_text(axis) == batch->dim.text;
  }
  return true;
}

bool DataSection::bind_data_params(const std::vector<ast::Param>& params, std::string_view what) {
  bool good = true;
  for (const ast::Param& param : params) {
    if (!param.type.valid()) {
      diagnostics_
          .report(Diag::E0603, param.name.span, fmt::format("parameter `{}` of {} needs a type", param.name.text, what))
          .with_help(fmt::format("write `{}: f32[B, ..]`", param.name.text));
      good = false;
      continue;
    }
    const ast::Type& type = file_.ast[param.type];
    DimId label = kAnonymous;
    const std::optional<DType> dtype = signatures_.dtype_of(type, &label);
    const std::optional<Axes> axes = signatures_.axes_expression(type.dims);
    if (!dtype || !axes || axes->empty()) {
      if (dtype && axes)
        diagnostics_.report(Diag::E0603, type.span, fmt::format("parameter `{}` lacks the batch dim", param.name.text))
            .with_help("put it in front: `f32[B]`");
      good = false;
      continue;
    }
    if (!is_batch_axis(axes->front())) {
      diagnostics_
          .report(Diag::E0603, type.span,
                  fmt::format("parameter `{}` has {} in front, not the batch dim", param.name.text,
                              shapes_.axis_text(axes->front())))
          .with_help("all fields of an objective have the dim of the `batch` line in front");
      good = false;
      continue;
    }
    const std::optional<Tensor> field = field_value(param.name.text, param.name.span, axes->front());
    if (!field) {
      good = false;
      continue;
    }
    bool fits = field->axes.size() == axes->size() && field->dtype == *dtype && field->label == label;
    for (size_t i = 0; fits && i < axes->size(); ++i) fits = shapes_.unify(field->axes[i], (*axes)[i]);
    if (!fits) {
      diagnostics_
          .report(Diag::E0603, type.span,
                  fmt::format("`{}` is declared as {} but the field is `{}`", param.name.text,
                              ast::print(file_.ast, param.type), shapes_.type_text(*field)))
          .with_help("a parameter has the type of its field, with the batch dim in front: change one of the two");
      good = false;
      continue;
    }
    Tensor value = *field;
    value.axes = *axes;
    scopes_.bind(param.name, Value(value));
  }
  return good;
}

}  // namespace smelt::frontend
