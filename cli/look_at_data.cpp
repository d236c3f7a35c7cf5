#include "cli/look_at_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "ir/support/printable.h"
#include "runtime/data/train_batches.h"
#include "runtime/files/png.h"
#include "runtime/grid.h"
#include "runtime/trainer.h"

namespace smelt::cli {
namespace {

constexpr int64_t kShownPictures = 64;
constexpr int64_t kMaxClasses = 1'000'000;  // beyond that labels are numbers to their reader as well
constexpr size_t kShownClasses = 40;

std::vector<int64_t> count_labels(const LoadedColumn& column, int64_t below) {
  if (below > kMaxClasses) return {};
  std::vector<int64_t> counts(static_cast<size_t>(below));
  for (int64_t row = 0; row < column.rows; ++row) {
    const double value = load_element(column.dtype, column.data.data() + row * size_of(column.dtype));
    ++counts[static_cast<size_t>(value)];  // below its limit, which was checked when it was read
  }
  return counts;
}

ColumnLook look_at_column(const Column& column, const LoadedColumn& loaded) {
  ColumnLook look;
  look.field = column.field == Column::kWholeRow ? "row()" : fmt::format("field({})", column.field);
  look.dtype = loaded.dtype;
  look.shape = loaded.row_shape;
  const int64_t width = size_of(loaded.dtype), count = static_cast<int64_t>(loaded.data.size()) / width;
  double sum = 0, low = std::numeric_limits<double>::infinity(), high = -low;
  for (int64_t i = 0; i < count; ++i) {
    const double value = load_element(loaded.dtype, loaded.data.data() + i * width);
    if (!std::isfinite(value)) {
      ++look.num_nonfinite;
      continue;
    }
    sum += value;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (count == look.num_nonfinite) return look;
  look.low = low;
  look.high = high;
  look.mean = sum / static_cast<double>(count - look.num_nonfinite);
  return look;
}

/// A row as make_grid takes it: [C, H, W] or [H, W].
bool is_picture(const LoadedColumn& column) {
  const std::vector<int64_t>& shape = column.row_shape;
  return (shape.size() == 3 && (shape[0] == 1 || shape[0] == 3)) || shape.size() == 2;
}

Result<HostTensor> take_rows(const LoadedColumn& column, std::span<const int32_t> rows) {
  std::vector<int64_t> shape = {static_cast<int64_t>(rows.size())};
  shape.insert(shape.end(), column.row_shape.begin(), column.row_shape.end());
  SMELT_TRY(HostTensor out, HostTensor::zeros(column.dtype, std::move(shape), "the first batch"));
  const size_t bytes = out.data.size() / rows.size();
  for (size_t i = 0; i < rows.size(); ++i)
    std::memcpy(out.data.data() + i * bytes, column.data.data() + static_cast<size_t>(rows[i]) * bytes, bytes);
  return out;
}

std::string class_text(const ColumnLook& look) {
  std::string text = fmt::format("{} classes:", look.counts.size());
  for (size_t k = 0; k < std::min(kShownClasses, look.counts.size()); ++k)
    text += fmt::format("{} {}{} {}", k == 0 ? "" : ",", k,
                        k < look.classes.size() ? " " + printable(look.classes[k], 40) : ":", look.counts[k]);
  return look.counts.size() > kShownClasses ? text + ", .." : text;
}

/// The batches of an epoch as training would take them from this split, also from one that is smaller than a batch.
Result<Batches> batches_of(TrainPlan train, const Dataset& set) {
  train.batch = std::min(train.batch, set.rows());
  return train_batches(train, set, RestOfEpoch::Kept);
}

Result<std::vector<LengthLook>> look_at_lengths(const Experiment& experiment, const Dataset& set) {
  std::vector<LengthLook> looks;
  if (!have_run_time_dim(set.lengths()) || set.rows() == 0 || experiment.train.batch < 1) return looks;
  SMELT_TRY(Batches batches, batches_of(experiment.train, set));
  std::vector<double> places(set.lengths().size());
  for (int64_t i = 0; i < batches.plan().batches_per_epoch(); ++i) {
    const std::span<const int32_t> rows = batches.next();
    for (size_t k = 0; k < places.size(); ++k)
      places[k] += static_cast<double>(set.lengths()[k].size_of(rows)) * static_cast<double>(rows.size());
  }
  const auto rows = static_cast<double>(set.rows());
  for (size_t k = 0; k < places.size(); ++k) {
    const RowLengths& strings = set.lengths()[k];
    if (strings.symbol < 0) continue;
    const DimSymbol& dim = experiment.symbols[static_cast<size_t>(strings.symbol)];
    const auto [least, most] = std::ranges::minmax(strings.lengths);
    const double sum = std::accumulate(strings.lengths.begin(), strings.lengths.end(), 0.0);
    looks.push_back({dim.name, dim.bound, least, most, sum / rows, batches.plan().batch, places[k] / rows});
  }
  return looks;
}

}  // namespace

Result<SplitLook> look_at(const Experiment& experiment, const Dataset& set) {
  const DataPlan& plan = *experiment.data;
  SplitLook look{set.name(), set.rows(), set.places(), {}, {}};
  SMELT_TRY(look.lengths, look_at_lengths(experiment, set));
  for (size_t c = 0; c < plan.columns.size(); ++c) {
    const auto same = [&](const Column& other) {  // as long as the bound in one field, as its batch in another
      return other.section == plan.columns[c].section && other.field == plan.columns[c].field;
    };
    const auto first = std::ranges::find_if(plan.columns, same);
    if (plan.columns[c].section != set.section() || std::cmp_not_equal(first - plan.columns.begin(), c)) continue;
    ColumnLook column = look_at_column(plan.columns[c], set.columns()[c]);
    const auto limit = std::ranges::find(plan.limits, static_cast<int32_t>(c), &ColumnLimit::column);
    if (limit != plan.limits.end() && column.shape.empty()) {  // of bytes of a text the range says enough
      column.counts = count_labels(set.columns()[c], limit->below);
      column.classes = set.classes(static_cast<int32_t>(c));
    }
    look.columns.push_back(std::move(column));
  }
  return look;
}

void print(const SplitLook& look) {
  std::vector<std::string> places;
  for (const std::string& place : look.places) places.push_back(fmt::format("`{}`", printable(place)));
  fmt::print("split {}: {} rows of {}\n", look.name, look.rows, fmt::join(places, ", "));
  for (const ColumnLook& column : look.columns) {
    fmt::print("  {} {}: ", column.field, describe(column.dtype, column.shape));
    if (column.counts.empty())
      fmt::print("{:.6g} .. {:.6g}, mean {:.6g}{}\n", column.low, column.high, column.mean,
                 column.num_nonfinite == 0 ? "" : fmt::format(", {} NaN or infinite", column.num_nonfinite));
    else
      fmt::print("{}\n", class_text(column));
  }
  for (const LengthLook& look_of : look.lengths) {
    fmt::print("  {}: strings of {} .. {}, mean {:.4g}; a row takes {:.4g} of {} places in batches of {}\n",
               look_of.dim, look_of.least, look_of.most, look_of.mean, look_of.places, look_of.bound, look_of.batch);
  }
}

nlohmann::json as_json(const SplitLook& look) {
  nlohmann::json columns = nlohmann::json::array();
  for (const ColumnLook& column : look.columns)
    columns.push_back({{"field", column.field},
                       {"dtype", to_string(column.dtype)},
                       {"shape", column.shape},
                       {"low", column.low},
                       {"high", column.high},
                       {"mean", column.mean},
                       {"nonfinite", column.num_nonfinite},
                       {"counts", column.counts},
                       {"classes", column.classes}});
  nlohmann::json lengths = nlohmann::json::array();
  for (const LengthLook& strings : look.lengths)
    lengths.push_back({{"dim", strings.dim},
                       {"bound", strings.bound},
                       {"least", strings.least},
                       {"most", strings.most},
                       {"mean", strings.mean},
                       {"batch", strings.batch},
                       {"places", strings.places}});
  return {{"split", look.name},
          {"rows", look.rows},
          {"places", look.places},
          {"columns", std::move(columns)},
          {"lengths", std::move(lengths)}};
}

Result<void> draw_first_batch(const Experiment& experiment, std::span<const Dataset> sets, const std::string& path,
                              const Limits& limits) {
  const SplitSets training = training_sets(sets);
  if (training.empty()) return fail(ErrorKind::Input, "the data has no split to draw");
  const auto set = std::ranges::find_if(
      training, [](const Dataset* each) { return std::ranges::any_of(each->columns(), is_picture); });
  if (set == training.end())
    return fail(ErrorKind::Input, "no field of the data is a picture: [H, W], [1, H, W] or [3, H, W]");
  TrainPlan train = experiment.train;
  if (train.batch < 1) train.batch = kShownPictures;
  SMELT_TRY(Batches batches, batches_of(train, **set));
  const std::span<const int32_t> rows = batches.next();
  const auto shown = rows.first(std::min<size_t>(rows.size(), kShownPictures));
  SMELT_TRY(const HostTensor pictures, take_rows(*std::ranges::find_if((*set)->columns(), is_picture), shown));
  const double high = pictures.dtype == DType::U8 ? 255 : 1;
  SMELT_TRY(const Picture picture, make_grid(pictures, {.low = 0, .high = high, .limits = limits}));
  return write_png(path, picture);
}

}  // namespace smelt::cli
