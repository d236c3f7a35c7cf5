#include "ir/plan.h"

#include <algorithm>

#include "ir/readers.h"

namespace smelt {

std::vector<int32_t> DataPlan::length_symbols() const {
  std::vector<int32_t> symbols;
  for (const Column& column : columns)
    if (column.length_symbol >= 0) symbols.push_back(column.length_symbol);
  return symbols;
}

std::string_view to_string(VariableKind kind) {
  switch (kind) {
    case VariableKind::Param: return "param";
    case VariableKind::State: return "state";
    case VariableKind::Slot: return "slot";
    case VariableKind::Const: return "const";
  }
  return "?";
}

std::string_view to_string(FunctionKind kind) {
  switch (kind) {
    case FunctionKind::Init: return "init";
    case FunctionKind::Step: return "step";
    case FunctionKind::Loss: return "loss";
    case FunctionKind::Metric: return "metric";
    case FunctionKind::Totals: return "totals";
    case FunctionKind::Result: return "result";
    case FunctionKind::Export: return "export";
    case FunctionKind::Sample: return "sample";
    case FunctionKind::Image: return "image";
    case FunctionKind::Text: return "text";
    case FunctionKind::Audio: return "audio";
    case FunctionKind::Stop: return "stop";
    case FunctionKind::Gradients: return "gradients";
  }
  return "?";
}

bool has_lengths(const SourceCall& source) {
  const ReaderRecord* reader = find_reader_record(source.reader);
  return reader != nullptr && (reader->kind == FileKind::Lines || reader->kind == FileKind::Pairs);
}

std::vector<size_t> strings_that_sort(const std::vector<int32_t>& symbols) {
  const bool all = std::ranges::all_of(symbols, [](int32_t symbol) { return symbol < 0; });
  std::vector<size_t> strings;
  for (size_t k = 0; k < symbols.size(); ++k)
    if (all || symbols[k] >= 0) strings.push_back(k);
  return strings;
}

bool has_split(const DataPlan& plan, int32_t section) {
  return std::ranges::find(plan.splits, section, &Split::section) != plan.splits.end();
}

const Split& first_split(const DataPlan& plan, int32_t section) {
  return *std::ranges::find(plan.splits, section, &Split::section);
}

int64_t sound_rate(const DataPlan& plan) {
  for (const Split& split : plan.splits)
    if (split.source.rate > 0) return split.source.rate;
  return 0;
}

const Split* split_with_tokens(const DataPlan& plan, std::string_view dim) {
  for (const ColumnLimit& limit : plan.limits) {
    if (limit.dim != dim) continue;
    const int32_t section = plan.columns[static_cast<size_t>(limit.column)].section;
    for (const Split& split : plan.splits)
      if (split.section == section && !split.source.tokens.empty()) return &split;
  }
  return nullptr;
}

std::string tokens_of(const DataPlan& plan, std::string_view dim) {
  const Split* const split = split_with_tokens(plan, dim);
  return split == nullptr ? std::string() : split->source.tokens;
}

std::vector<Column> typed_columns(const SourceCall& source) {
  const ReaderRecord* reader = find_reader_record(source.reader);
  const auto column = [&](int32_t field, DType dtype, std::vector<int64_t> row_shape) {
    return Column{field, dtype, std::move(row_shape), source.span};
  };
  const auto text_column = [&](int32_t string, DType dtype) {
    const auto k = static_cast<size_t>(string);
    Column result = column(string, dtype, {source.lengths[k]});
    result.length_symbol = source.length_symbols[k];
    return result;
  };
  const PictureOptions& o = source.pictures;
  const DType text = source.tokens.empty() ? DType::U8 : DType::I32;
  switch (reader == nullptr ? FileKind::Table : reader->kind) {
    case FileKind::Table: return {};
    case FileKind::Picture: {
      std::vector<Column> columns = {column(0, DType::U8, {o.channels, o.height, o.width})};
      if (o.label != PictureLabel::None) columns.push_back(column(1, DType::I32, {}));
      return columns;
    }
    case FileKind::Text: return {column(0, text, {source.window}), column(1, text, {source.window})};
    case FileKind::Sound: return {column(0, DType::F32, {source.window}), column(1, DType::I32, {})};
    case FileKind::Lines: return {text_column(0, text), column(1, DType::I32, {})};
    case FileKind::Pairs:
      return {text_column(0, text), text_column(1, text), column(2, DType::I32, {}), column(3, DType::I32, {})};
  }
  return {};
}

}  // namespace smelt
