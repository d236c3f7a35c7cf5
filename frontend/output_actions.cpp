// Actions that write what a model makes: `image grid(x, 8) to "x.png"`, `text write(x) to "x.txt"`,
// `audio say(x) at 8000 to "x.wav"`. Each is a function of the experiment with one result.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/evaluator.h"
#include "frontend/function_builder.h"
#include "frontend/scopes.h"
#include "frontend/shapes.h"
#include "frontend/train_section.h"
#include "ir/readers.h"
#include "ir/support/suggest.h"

namespace smelt::frontend {
namespace {

constexpr int64_t kByteValues = 256;

struct OutputRow {
  ActionKind action;
  FunctionKind function;
  std::string_view what, extension, example;  // for messages
};
/// In the order of ast::OutputKind.
constexpr OutputRow kOutputs[] = {
    {ActionKind::Image, FunctionKind::Image, "picture", ".png", "image grid(x, 8) to \"x-{step}.png\""},
    {ActionKind::Text, FunctionKind::Text, "text", ".txt", "text write(x) to \"x-{step}.txt\""},
    {ActionKind::Audio, FunctionKind::Audio, "sound", ".wav", "audio say(x) to \"x-{step}.wav\""}};

}  // namespace

/// `{step}` and `{epoch}` become numbers; what else stands in braces would be the same in every file.
bool TrainSection::check_placeholders(const std::string& path, Span span) {
  static constexpr std::string_view kKnown[] = {"step", "epoch"};
  for (size_t open = path.find('{'); open != std::string::npos; open = path.find('{', open + 1)) {
    const size_t close = path.find('}', open);
    const std::string name = path.substr(open + 1, close == std::string::npos ? close : close - open - 1);
    if (close != std::string::npos && std::ranges::find(kKnown, name) != std::end(kKnown)) continue;
    std::string near = did_you_mean(name, kKnown);
    diagnostics_.report(Diag::E0503, span, fmt::format("a path has no `{{{}}}`", printable(name, 40)))
        .with_help(near.empty() ? "`{step}` and `{epoch}` become the numbers of the step and the epoch" : near);
    return false;
  }
  return true;
}

void TrainSection::output_action(const ast::OutputAction& action, Action& out, Span span) {
  const OutputRow& row = kOutputs[static_cast<size_t>(action.kind)];
  out.kind = row.action;
  const auto* path = scopes_.ast().as<ast::StringExpr>(action.path);
  if (path == nullptr) {
    diagnostics_.report(Diag::E0403, scopes_.span_of(action.path), "the path after `to` is a string");
    return;
  }
  out.path = path->value;
  const bool escapes = out.path.starts_with("/") || out.path.find("..") != std::string::npos;
  if (escapes || !out.path.ends_with(row.extension)) {
    diagnostics_
        .report(Diag::E0503, scopes_.span_of(action.path),
                fmt::format("the path of a {} is inside the run directory and ends in {}", row.what, row.extension))
        .with_help(fmt::format("write `{}`", row.example));
    return;
  }
  if (!check_placeholders(out.path, scopes_.span_of(action.path))) return;
  ast::ExprId value = action.value;
  if (action.kind == ast::OutputKind::Image) {
    const std::optional<ast::ExprId> shown = grid_of(value, out);
    if (!shown) return;
    value = *shown;
  }
  if (action.kind == ast::OutputKind::Audio) {
    const std::optional<int64_t> rate = rate_of(action);
    if (!rate) return;
    out.rate = *rate;
  }
  // An image keeps the name that it had when there were only images, because its draws are those of that name.
  const std::string name = fmt::format("{}{}", to_string(row.function), num_outputs_++);
  out.function = functions_.build_function(row.function, name, false, span, [&] {
    const std::optional<Tensor> x = shown_value(action.kind, value);
    if (!x || !check_shown(action.kind, *x, scopes_.span_of(value))) return;
    if (x->range && std::isfinite(x->range->low) && std::isfinite(x->range->high)) {
      out.range_low = x->range->low;
      out.range_high = x->range->high;
    }
    const NodeId shown = action.kind == ast::OutputKind::Image ? x->node : rows_first(*x);
    Output result{std::string(to_string(row.function)), ResultRole::Value, -1, shown};
    if (x->label != kAnonymous)
      result.labels = {shapes_.axis_of(x->label).extent.bound, -1, shapes_.dim_of(x->label).name};
    graph_.builder().result(std::move(result));
  });
}

/// What `grid(x, 8)` shows; its columns go to `out`.
std::optional<ast::ExprId> TrainSection::grid_of(ast::ExprId value, Action& out) {
  const auto* call = scopes_.ast().as<ast::CallExpr>(value);
  const auto* name = call != nullptr ? scopes_.ast().as<ast::NameExpr>(call->callee) : nullptr;
  if (name == nullptr || name->name != "grid" || call->args.empty() || call->args.size() > 2) {
    diagnostics_.report(Diag::E0609, scopes_.span_of(value), "an image action shows a grid of pictures")
        .with_help("write `image grid(x, 8) to \"x-{step}.png\"`");
    return std::nullopt;
  }
  if (call->args.size() == 2) {  // else 0: as many as make a square
    const ast::ExprId given = call->args[1].value;
    const std::optional<int64_t> columns =
        shapes_.expect_integer(evaluator_.eval(given), scopes_.span_of(given), "the number of columns");
    if (columns && (*columns < 1 || *columns > 1000))
      diagnostics_.report(Diag::E0503, scopes_.span_of(given),
                          fmt::format("the grid has {} columns; it may have 1 to 1000", *columns));
    out.grid_columns = static_cast<int32_t>(std::clamp<int64_t>(columns.value_or(1), 1, 1000));
  }
  return call->args[0].value;
}

/// That of the line, else that of the data.
std::optional<int64_t> TrainSection::rate_of(const ast::OutputAction& action) {
  const int64_t known = experiment_.data ? sound_rate(*experiment_.data) : 0;
  if (!action.rate.valid()) {
    if (known > 0) return known;
    diagnostics_
        .report(Diag::E0609, scopes_.span_of(action.value),
                "the rate of this sound is not known, because the data have no `audio`")
        .with_help("say it: `audio say(x) at 8000 to \"x-{step}.wav\"`");
    return std::nullopt;
  }
  const Span span = scopes_.span_of(action.rate);
  const std::optional<int64_t> given =
      shapes_.expect_integer(evaluator_.eval(action.rate), span, "the rate of a sound");
  if (given && (*given < kLeastSoundRate || *given > kLargestSoundRate)) {
    diagnostics_.report(
        Diag::E0503, span,
        fmt::format("{} samples a second; a sound has {} to {}", *given, kLeastSoundRate, kLargestSoundRate));
    return std::nullopt;
  }
  return given;
}

/// The value of an action's expression, in which exports are called as functions.
std::optional<Tensor> TrainSection::shown_value(ast::OutputKind kind, ast::ExprId value) {
  for (const ast::FnDecl& decl : file_.ast.fns)
    if (decl.kind == ast::FnKind::Export && !file_.names.contains(decl.name.text))
      scopes_.bind(decl.name, Value(FnValue{&file_, &decl}));
  const Span span = scopes_.span_of(value);
  const Value shown = evaluator_.eval(value);
  return kind == ast::OutputKind::Text ? graph_.expect_tensor(shown, span, DType::I32)
                                       : graph_.expect_float(shown, span);
}

/// A text or sound whose axis of rows is the first of two: the dim of the `batch` line, else the only run-time dim,
/// else the only axis without a name, else the first.
NodeId TrainSection::rows_first(const Tensor& x) {
  if (x.axes.size() != 2) return x.node;
  std::string batch;
  for (const ast::TrainItem& item : train_->items)
    if (const auto* named = std::get_if<ast::BatchItem>(&item.node)) batch = named->dim.text;
  const auto only = [&](auto counts) -> std::optional<size_t> {
    const bool first = counts(x.axes[0]), second = counts(x.axes[1]);
    if (first == second) return std::nullopt;
    return first ? 0 : 1;
  };
  std::optional<size_t> rows = only([&](const Axis& axis) { return shapes_.axis_text(axis) == batch; });
  if (!rows) rows = only([](const Axis& axis) { return !axis.extent.is_static(); });
  if (!rows) rows = only([](const Axis& axis) { return axis.dim == kAnonymous; });
  return rows.value_or(0) == 0 ? x.node : graph_.builder().transpose(x.node, {1, 0});
}

static bool are_channels(const Axis& axis) { return axis.extent == Extent(1) || axis.extent == Extent(3); }

/// Of a flat axis, how it may be read as pictures: sides as near to each other as its size allows.
static std::string help_for_pictures(const Shapes& shapes, const Tensor& x) {
  if (x.axes.size() == 4 && are_channels(x.axes[3]))
    return "channels are the second axis, `f32[N, C, H, W]`: `turned[n, c, i, j] = x[n, i, j, c]` brings them there";
  const Axis* flat = x.axes.size() == 2 && x.axes[1].extent.is_static() ? &x.axes[1] : nullptr;
  if (flat == nullptr) return "pictures are `f32[N, H, W]`, or `f32[N, C, H, W]` with C = 1 or 3";
  int64_t side = 1;
  for (int64_t k = 1; k * k <= flat->extent.bound; ++k)
    if (flat->extent.bound % k == 0) side = k;
  return fmt::format("`|> reshape([{}, {}, {}])` makes pictures of {}", shapes.axis_text(x.axes[0]), side,
                     flat->extent.bound / side, shapes.sized_text(*flat));
}

bool TrainSection::check_shown(ast::OutputKind kind, const Tensor& x, Span span) {
  const auto wrong = [&](std::string_view what, std::string_view help) {
    diagnostics_.report(Diag::E0609, span, fmt::format("`{}` is {}", shapes_.type_text(x), what))
        .with_help(std::string(help));
    return false;
  };
  const bool rows = x.axes.size() == 1 || x.axes.size() == 2;
  switch (kind) {
    case ast::OutputKind::Image: {
      const bool channels = x.axes.size() == 4 && are_channels(x.axes[1]);
      return x.axes.size() == 3 || channels || wrong("not a row of pictures", help_for_pictures(shapes_, x));
    }
    case ast::OutputKind::Text: {
      const int64_t values = x.label == kAnonymous ? 0 : shapes_.axis_of(x.label).extent.bound;
      const bool subwords = x.label != kAnonymous && experiment_.data &&
                            !tokens_of(*experiment_.data, shapes_.dim_of(x.label).name).empty();
      if (x.dtype != DType::I32 || values == 0 || (values > kByteValues && !subwords))
        return wrong(
            "not a text",
            "a text is made of labels of at most 256 values, `ix<Byte>[B, T]` with `dim Byte = 256`, or of the "
            "dim of a field of texts that are read with `tokens =`");
      return rows || wrong("not a row of texts", "a text has one axis, and a row of texts another one");
    }
    case ast::OutputKind::Audio:
      return rows || wrong("not a row of sounds", "a sound has one axis, and a row of sounds another one");
  }
  return false;
}

}  // namespace smelt::frontend
