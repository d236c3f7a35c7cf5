// The data section: which columns the readers give, and fields as expressions on the rows of a batch.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/elaborator.h"
#include "ir/rewrite.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {

namespace {

struct Reader {
  std::string_view name;
  bool supported = false;
  bool field_is_file = true;        // field(k) is the k-th file; else the k-th column of one
  std::optional<DType> dtype = {};  // of a column whose file is not at hand; none: that of the field
};
constexpr Reader kReaders[] = {
    {"idx", true, true, DType::U8},
    {"csv", true, false, DType::F32},
    {"npy", true},
    {"npz"},
    {"bytes"},
    {"images"},
    {"wav"},
};

constexpr int64_t kMaxRows = 2147483647;

}  // namespace

/// Finds the data section that the train section names, or the only one, and reads its splits.
void Elaborator::find_data() {
  const auto& sections = file_.ast.data;
  if (train_ != nullptr) {
    for (const ast::TrainItem& item : train_->items) {
      const auto* named = std::get_if<ast::DataItem>(&item.node);
      if (named == nullptr) continue;
      const auto found =
          std::ranges::find(sections, named->name.text, [](const ast::DataDecl& d) { return d.name.text; });
      if (found != sections.end())
        data_ = &*found;
      else {
        std::vector<std::string> names;
        for (const ast::DataDecl& d : sections) names.push_back(d.name.text);
        error(Diag::E0606, named->name.span, fmt::format("no data section `{}`", printable(named->name.text)))
            .with_help(did_you_mean(named->name.text, names));
      }
    }
  }
  if (data_ == nullptr && train_ == nullptr && !sections.empty()) data_ = &sections[0];
  if (data_ != nullptr) read_columns();
}

/// A place for data that the file does not have would be ignored.
void Elaborator::check_data_sections() {
  std::vector<std::string> names;
  for (const ast::DataDecl& decl : file_.ast.data) names.push_back(decl.name.text);
  for (const std::string& section : options_.data_sections) {
    if (std::ranges::find(names, section) != names.end()) continue;
    std::string help = did_you_mean(section, names);
    if (help.empty())
      help = names.empty() ? "the file has no `data`" : fmt::format("the file has {}", fmt::join(names, ", "));
    error(Diag::E0310, {}, fmt::format("`--data {}=..` names no data section", printable(section)))
        .with_help(std::move(help));
  }
}

void Elaborator::read_columns() {
  DataPlan plan;
  plan.name = data_->name.text;
  plan.span = data_->span;
  for (const ast::FieldDecl& entry : data_->entries) {
    if (entry.type.valid()) continue;
    Split split{entry.name.text, {}};
    const auto* call = file_.ast.as<ast::CallExpr>(entry.value);
    const auto* name = call != nullptr ? file_.ast.as<ast::NameExpr>(call->callee) : nullptr;
    const Span span = file_.ast[entry.value].span;
    const Reader* reader = nullptr;
    if (name != nullptr)
      for (const Reader& r : kReaders)
        if (r.name == name->name) reader = &r;
    if (reader == nullptr) {
      std::vector<std::string_view> names;
      for (const Reader& r : kReaders) names.push_back(r.name);
      std::string help = name != nullptr ? did_you_mean(name->name, names) : "";
      error(Diag::E0301, span, fmt::format("split `{}` is not a reader", entry.name.text))
          .with_help(help.empty()
                         ? "write `train = idx(\"images\", \"labels\")`; a field has a type: `x: f32[Pixel] = ..`"
                         : help);
      continue;
    }
    if (!reader->supported) {
      unsupported(span, fmt::format("reader `{}`", reader->name));
      continue;
    }
    split.source.reader = reader->name;
    split.source.span = span;
    for (const ast::Arg& arg : call->args) {
      const auto* path = file_.ast.as<ast::StringExpr>(arg.value);
      if (path != nullptr && arg.name.empty())
        split.source.paths.push_back(path->value);
      else
        error(Diag::E0401, file_.ast[arg.value].span, fmt::format("`{}` takes paths as strings", reader->name));
    }
    if (call->args.empty())
      error(Diag::E0401, span, fmt::format("`{}` lacks a path", reader->name))
          .with_help("write `idx(\"train-images-idx3-ubyte\")`");
    if (std::ranges::any_of(plan.splits, [&](const Split& s) { return s.name == split.name; })) {
      error(Diag::E0303, entry.name.span, fmt::format("split `{}` is declared twice", split.name));
    }
    plan.splits.push_back(std::move(split));
  }
  std::map<std::string, Span> fields;
  for (const ast::FieldDecl& entry : data_->entries) {
    if (!entry.type.valid()) continue;
    const auto [first, fresh] = fields.try_emplace(entry.name.text, entry.name.span);
    if (!fresh)
      error(Diag::E0303, entry.name.span, fmt::format("field `{}` is declared twice", entry.name.text))
          .label(first->second, "first here");
  }
  if (plan.splits.empty() && !diagnostics_.has_errors())
    error(Diag::E0605, data_->name.span, fmt::format("data section `{}` has no split", plan.name))
        .with_help("write `train = idx(\"images\", \"labels\")`");
  if (options_.probe && !diagnostics_.has_errors()) {
    for (const Split& split : plan.splits) {
      const Result<std::optional<std::vector<Column>>> probed = options_.probe(plan.name, split.source);
      if (!probed) {
        error(Diag::E0604, split.source.span, probed.error().message).with_help(probed.error().help);
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
        error(Diag::E0604, split.source.span,
              fmt::format("split `{}` has other columns than `{}`", split.name, plan.splits.front().name))
            .label(plan.splits.front().source.span, "compared with this");
      }
    }
  }
  experiment_.data = std::move(plan);
}

/// The rows of this batch of column k: a gather from the whole raw column.
Value Elaborator::field_column(int32_t field, Span span) {
  if (!in_field()) {
    error(Diag::E0403, span, "a column of the data is read in a data section only");
    return {};
  }
  const FieldRead& read = *frame_->around.field;
  DataPlan& plan = *experiment_.data;
  if (plan.splits.empty() || data_failed_) return {};  // one mistake in a file is one error
  Column column{field, DType::U8, {}, span};
  const auto probed = std::ranges::find(probed_, field, &Column::field);
  if (probed != probed_.end()) {
    column.dtype = probed->dtype;
    column.row_shape = probed->row_shape;
  } else if (!probed_.empty() && field == Column::kWholeRow && plan.splits.front().source.reader == "csv") {
    column.dtype = probed_.front().dtype;  // all columns side by side
    column.row_shape = {static_cast<int64_t>(probed_.size())};
  } else if (!probed_.empty()) {
    error(Diag::E0109, span, fmt::format("the reader has {} fields, counted from 0", probed_.size()));
    return {};
  } else {
    const std::string& name = plan.splits.front().source.reader;
    const auto reader = std::ranges::find(kReaders, name, &Reader::name);
    // Without its files a column is what its field says. Their readers check it against what is there.
    const size_t files = plan.splits.front().source.paths.size();
    if (reader->field_is_file && (field < 0 || static_cast<size_t>(field) >= files)) {
      error(Diag::E0109, span, fmt::format("the reader `{}` has {} fields, counted from 0", name, files));
      return {};
    }
    column.dtype = reader->dtype.value_or(read.dtype);
    if (reader->field_is_file || field == Column::kWholeRow) {
      for (const Axis& axis : read.row) column.row_shape.push_back(axis.extent.bound);
    }
  }
  auto known = std::ranges::find(plan.columns, field, &Column::field);
  if (known == plan.columns.end()) known = plan.columns.insert(plan.columns.end(), column);
  const auto ref = static_cast<int32_t>(known - plan.columns.begin());
  if (rows_symbol_ < 0) {
    experiment_.symbols.push_back({"rows", kMaxRows});
    rows_symbol_ = static_cast<int32_t>(experiment_.symbols.size() - 1);
  }
  NodeId& argument = context_->columns[ref];
  Axes axes{read.batch};
  TensorType type{known->dtype, {Extent(kMaxRows, rows_symbol_)}};
  for (const int64_t size : known->row_shape) {
    type.shape.emplace_back(size);
    axes.push_back({kAnonymous, Extent(size)});
  }
  if (!argument.valid()) argument = graph().argument({fmt::format("column{}", ref), ArgRole::Column, ref, {}}, type);
  if (!context_->rows.valid()) {
    context_->batch = read.batch;
    context_->rows = graph().argument({"rows", ArgRole::Rows, -1, {}}, {DType::I32, {read.batch.extent}});
  }
  graph().set_span(span);
  Tensor t = tensor(graph().make(OpKind::Gather, {argument, context_->rows}), std::move(axes));
  t.column = ref;
  return Value(t);
}

/// A field with the batch axis in front, of its declared type.
std::optional<Tensor> Elaborator::convert_field(const ast::FieldDecl& decl, Value value, const Axis& batch) {
  const ast::Type& type = file_.ast[decl.type];
  const Span span = file_.ast[decl.value].span;
  DimId label = kAnonymous;
  const std::optional<DType> dtype = dtype_of(type, &label);
  std::optional<Axes> axes = axes_expression(type.dims);
  if (!dtype || !axes) return std::nullopt;
  axes->insert(axes->begin(), batch);
  std::optional<Tensor> t = expect_tensor(value, span, dtype);
  if (!t) return std::nullopt;
  bool fits = t->axes.size() == axes->size();
  for (size_t i = 0; fits && i < axes->size(); ++i) fits = unify(t->axes[i], (*axes)[i]);
  if (!fits) {
    Axes row(t->axes.begin() + (t->axes.empty() ? 0 : 1), t->axes.end());
    error(Diag::E0106, span,
          fmt::format("field `{}` is declared as {} but a row is {}", decl.name.text, ast::print(file_.ast, decl.type),
                      type_text(t->dtype, row)))
        .label(type.span, "declared here");
    return std::nullopt;
  }
  if (label != kAnonymous) {
    if (t->column < 0 || t->dtype == DType::Bool) {
      error(Diag::E0701, span, "labels that are not a column of a file, as it is there, are not supported yet")
          .with_help("write `y: ix<Class> = field(1)`; whole numbers of a float or csv column are labels too");
      return std::nullopt;
    }
    auto& limits = experiment_.data->limits;
    const Dim& dim = dims_[static_cast<size_t>(label)];
    const bool known =
        std::ranges::any_of(limits, [&](const ColumnLimit& l) { return l.column == t->column && l.dim == dim.name; });
    if (!known) limits.push_back({t->column, dim.extent.bound, dim.name, span});
  }
  Tensor result = tensor(graph().cast(t->node, *dtype), *axes);
  result.label = label;
  result.range = t->range;
  if (decl.range.valid()) {
    const auto* range = file_.ast.as<ast::BinaryExpr>(decl.range);
    const bool is_range = range != nullptr && range->op == ast::BinaryOp::Range;
    const auto low = is_range ? number_of(eval(range->lhs)) : std::nullopt,
               high = is_range ? number_of(eval(range->rhs)) : std::nullopt;
    if (low && high && *low < *high) {
      result.range = Range{*low, *high};
      state_range(decl, *t, *result.range);
    } else {
      error(Diag::E0503, file_.ast[decl.range].span, "a range is written `in low..high`, with low below high");
    }
  }
  return result;
}

/// raw * scale + offset, where an expression of a field is that.
struct Elaborator::AffineColumn {
  int32_t column = -1;
  double scale = 1, offset = 0;
};
std::optional<Elaborator::AffineColumn> Elaborator::affine_column(NodeId id) {
  const Graph& g = graph().graph();
  const Node& node = g[id];
  if (node.op == OpKind::Gather) {
    for (const auto& [ref, argument] : context_->columns)
      if (argument == node.inputs[0]) return AffineColumn{ref, 1, 0};
    return std::nullopt;
  }
  if (node.op == OpKind::Cast || node.op == OpKind::Reshape || node.op == OpKind::Transpose ||
      node.op == OpKind::Broadcast)
    return affine_column(node.inputs[0]);
  if (node.op != OpKind::Add && node.op != OpKind::Sub && node.op != OpKind::Mul && node.op != OpKind::Div)
    return std::nullopt;
  const auto left = splat_value(g, node.inputs[0]), right = splat_value(g, node.inputs[1]);
  if (left.has_value() == right.has_value() || (left && node.op == OpKind::Div)) return std::nullopt;
  std::optional<AffineColumn> x = affine_column(node.inputs[left ? 1 : 0]);
  if (!x) return std::nullopt;
  const double c = left ? *left : *right;
  if (node.op == OpKind::Mul || node.op == OpKind::Div) {
    const double factor = node.op == OpKind::Mul ? c : 1 / c;
    return AffineColumn{x->column, x->scale * factor, x->offset * factor};
  }
  if (node.op == OpKind::Add) return AffineColumn{x->column, x->scale, x->offset + c};
  return left ? AffineColumn{x->column, -x->scale, c - x->offset} : AffineColumn{x->column, x->scale, x->offset - c};
}

/// A range that the file states is compared with the data when they are read. Other than affine expressions of one
/// column are taken at their word.
void Elaborator::state_range(const ast::FieldDecl& decl, const Tensor& value, const Range& range) {
  auto& ranges = experiment_.data->ranges;
  if (std::ranges::find(ranges, decl.name.text, &ColumnRange::field) != ranges.end()) return;
  const std::optional<AffineColumn> x = affine_column(value.node);
  if (!x || !std::isfinite(x->scale) || !std::isfinite(x->offset)) return;
  ranges.push_back(
      {x->column, x->scale, x->offset, {range.low, range.high}, decl.name.text, file_.ast[decl.range].span});
}

std::optional<Tensor> Elaborator::field_value(const std::string& name, Span span, const Axis& batch) {
  if (const auto known = context_->fields.find(name); known != context_->fields.end()) return known->second;
  const ast::FieldDecl* decl = nullptr;
  std::vector<std::string> names;
  if (data_ != nullptr) {
    for (const ast::FieldDecl& entry : data_->entries) {
      if (!entry.type.valid()) continue;
      names.push_back(entry.name.text);
      if (entry.name.text == name) decl = &entry;
    }
  }
  if (decl == nullptr) {
    auto& diagnostic =
        error(Diag::E0603, span,
              data_ == nullptr ? fmt::format("`{}` comes from the data, and there is no data section", name)
                               : fmt::format("data section `{}` has no field `{}`", data_->name.text, name));
    if (data_ != nullptr)
      diagnostic.label(data_->name.span, fmt::format("it has {}", fmt::join(names, ", ")))
          .with_help(did_you_mean(name, names));
    else
      diagnostic.with_help("declare one, and name it in the train section: `data mnist`");
    return std::nullopt;
  }
  Frame frame(file_, frame_);
  const Entered entered(frame_, frame);
  const std::optional<Axes> row = axes_expression(file_.ast[decl->type].dims);
  DimId label = kAnonymous;
  const std::optional<DType> dtype = dtype_of(file_.ast[decl->type], &label);
  const FieldRead read{batch, row.value_or(Axes()), dtype.value_or(DType::F32)};
  frame.around.field = &read;
  const Value value = row && dtype ? eval(decl->value) : Value();
  std::optional<Tensor> result = value.bad() ? std::nullopt : convert_field(*decl, value, batch);
  if (result) context_->fields.emplace(name, *result);
  return result;
}

/// The dim of the `batch` line; without a train section the first one that a field is read with.
bool Elaborator::is_batch_axis(const Axis& axis) {
  if (context_->rows.valid() && axis != context_->batch) return false;
  if (train_ == nullptr) return true;
  for (const ast::TrainItem& item : train_->items) {
    const auto* batch = std::get_if<ast::BatchItem>(&item.node);
    if (batch != nullptr) return axis_text(axis) == batch->dim.text;
  }
  return true;
}

/// Binds the parameters of an objective or metric to the fields of their names, B in front.
bool Elaborator::bind_data_params(const std::vector<ast::Param>& params, std::string_view what) {
  bool good = true;
  for (const ast::Param& param : params) {
    if (!param.type.valid()) {
      error(Diag::E0603, param.name.span, fmt::format("parameter `{}` of {} needs a type", param.name.text, what))
          .with_help(fmt::format("write `{}: f32[B, ..]`", param.name.text));
      good = false;
      continue;
    }
    const ast::Type& type = file_.ast[param.type];
    DimId label = kAnonymous;
    const std::optional<DType> dtype = dtype_of(type, &label);
    const std::optional<Axes> axes = axes_expression(type.dims);
    if (!dtype || !axes || axes->empty()) {
      if (dtype && axes)
        error(Diag::E0603, type.span, fmt::format("parameter `{}` lacks the batch dim", param.name.text))
            .with_help("put it in front: `f32[B]`");
      good = false;
      continue;
    }
    if (!is_batch_axis(axes->front())) {
      error(Diag::E0603, type.span,
            fmt::format("parameter `{}` has {} in front, not the batch dim", param.name.text, axis_text(axes->front())))
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
    for (size_t i = 0; fits && i < axes->size(); ++i) fits = unify(field->axes[i], (*axes)[i]);
    if (!fits) {
      error(Diag::E0603, type.span,
            fmt::format("`{}` is declared as {} but the field is `{}`", param.name.text,
                        ast::print(file_.ast, param.type), type_text(*field)));
      good = false;
      continue;
    }
    Tensor value = *field;
    value.axes = *axes;
    bind(param.name, Value(value));
  }
  return good;
}

}  // namespace smelt::frontend
