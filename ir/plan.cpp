#include "ir/plan.h"

namespace smelt {

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
    case FunctionKind::Stop: return "stop";
    case FunctionKind::Gradients: return "gradients";
  }
  return "?";
}

std::vector<Column> typed_columns(const SourceCall& source) {
  if (source.window > 0)
    return {{0, DType::U8, {source.window}, source.span}, {1, DType::U8, {source.window}, source.span}};
  const PictureOptions& o = source.pictures;
  std::vector<Column> columns = {{0, DType::U8, {o.channels, o.height, o.width}, source.span}};
  if (o.label != PictureLabel::None) columns.push_back({1, DType::I32, {}, source.span});
  return columns;
}

}  // namespace smelt
