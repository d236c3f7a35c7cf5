#include "runtime/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "ir/support/suggest.h"
#include "runtime/files/message.h"

namespace smelt {
namespace {

Result<const Entry*> find_evaluated(const CompiledProgram& program, const std::string& name) {
  for (const FunctionKind kind : {FunctionKind::Loss, FunctionKind::Metric}) {
    if (const Entry* entry = program.find(kind, name)) return entry;
  }
  std::vector<std::string_view> names;
  for (const Entry& entry : program.entries) {
    if (entry.kind == FunctionKind::Loss || entry.kind == FunctionKind::Metric) names.push_back(entry.name);
  }
  return fail(ErrorKind::Usage, fmt::format("`{}` is neither an objective nor a metric", printable(name)),
              suggest(name, names));
}

/// The function that belongs to `entry`; null when its values are means by rows.
const Entry* companion(const CompiledProgram& program, FunctionKind kind, const Entry& entry) {
  const auto index = static_cast<int32_t>(&entry - program.entries.data());
  for (const Entry& other : program.entries) {
    if (other.kind == kind && other.ref == index) return &other;
  }
  return nullptr;
}

/// Totals of all batches so far, in f64.
class Totals {
 public:
  explicit Totals(const Entry& entry) {
    for (const Binding& binding : entry.outputs) {
      values_.emplace_back(static_cast<size_t>(*num_elements(binding.type.shape)), start_of(binding.kind));
    }
  }

  void add(const Entry& entry, const CallFrame& frame) {
    for (size_t i = 0; i < values_.size(); ++i) {
      const Binding& binding = entry.outputs[i];
      const std::byte* at = frame.output(i);
      for (double& total : values_[i]) {
        const double value = load_element(binding.type.dtype, at);
        if (binding.kind == BindingKind::Sum)
          total += value;
        else if (std::isnan(value) || (binding.kind == BindingKind::Largest ? value > total : value < total))
          total = value;  // a NaN stays: it compares as neither
        at += size_of(binding.type.dtype);
      }
    }
  }

  Result<Buffer> as_feed(size_t i, const Binding& feed) const {
    SMELT_TRY(Buffer buffer, Buffer::allocate(static_cast<uint64_t>(*byte_size(feed.type)), feed.name));
    for (size_t k = 0; k < values_[i].size(); ++k)
      store_element(feed.type.dtype, values_[i][k], buffer.data() + static_cast<int64_t>(k) * size_of(feed.type.dtype));
    return buffer;
  }

 private:
  static double start_of(BindingKind kind) {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    return kind == BindingKind::Largest ? -kInf : kind == BindingKind::Smallest ? kInf : 0;
  }

  std::vector<std::vector<double>> values_;
};

class Evaluation {
 public:
  Evaluation(Session& session, const Entry& entry, const TraceCall& trace)
      : session_(session),
        entry_(entry),
        totals_entry_(companion(session.program(), FunctionKind::Totals, entry)),
        result_entry_(companion(session.program(), FunctionKind::Result, entry)),
        trace_(trace),
        frame_(session.frame(entry)) {}

  Result<void> run(const SplitSets& data, int64_t batch) {
    SMELT_TRY_VOID(frame_.own_outputs());
    sums_.assign(entry_.outputs.size(), 0.0);
    if (!frame_.takes_rows()) return run_once(data, batch);
    if (data.empty()) {
      return fail(ErrorKind::Usage,
                  fmt::format("{} `{}` reads a data set, and none is given", to_string(entry_.kind), entry_.name));
    }
    frame_.set_datasets(data);
    data_ = data;
    if (totals_entry_ != nullptr) SMELT_TRY_VOID(begin_totals(data));
    const int64_t total = frame_.rows_of(data);
    const std::vector<int32_t> all = rows_by_length(data, total);
    const std::span<const int32_t> rows(all);
    for (int64_t begin = 0, number = 0; begin < total; begin += batch, ++number) {
      const int64_t size = std::min(batch, total - begin);
      if (size < batch && !frame_.has_free_batch()) break;
      SMELT_TRY_VOID(run_batch(rows.subspan(static_cast<size_t>(begin), static_cast<size_t>(size)), number));
    }
    if (weight_ > 0) return totals_entry_ == nullptr ? Result<void>() : finish_totals();
    return fail(ErrorKind::Input,
                fmt::format("split `{}` has {} rows, fewer than one batch of {}", data.front()->split(), total, batch));
  }

  /// Values that are no means by rows, from the totals of all batches.
  Result<void> finish_totals() {
    CallFrame frame = session_.frame(*result_entry_);
    SMELT_TRY_VOID(frame.own_outputs());
    std::vector<Buffer> feeds;
    for (size_t i = 0; i < result_entry_->inputs.size(); ++i) {
      SMELT_TRY(Buffer feed, totals_->as_feed(i, result_entry_->inputs[i]));
      frame.set_input(i, feed.data());
      feeds.push_back(std::move(feed));
    }
    session_.set_runs(*result_entry_, 0);
    const int32_t status = session_.call(frame);
    if (status != SMELT_CALL_OK && status != SMELT_CALL_NONFINITE) return check_status(status, *result_entry_);
    for (size_t r = 0; r < result_entry_->outputs.size(); ++r) {
      const Binding& value = result_entry_->outputs[r];
      const auto at = std::ranges::find_if(
          entry_.outputs, [&](const Binding& b) { return b.name == value.name && b.kind == value.kind; });
      const auto index = static_cast<size_t>(at - entry_.outputs.begin());
      if (trace_ && !std::isfinite(frame.scalar(r))) return stop_at(index, frame.scalar(r));
      sums_[index] = frame.scalar(r) * weight_;
    }
    return {};
  }

  void append_to(std::vector<NamedValue>& out) const {
    for (size_t i = 0; i < sums_.size(); ++i) {
      const Binding& binding = entry_.outputs[i];
      if (!binding.type.shape.empty()) continue;
      std::string name = entry_.name;
      if (binding.kind == BindingKind::Report) name += "." + binding.name;
      out.push_back({std::move(name), sums_[i] / weight_, DType::F64});
    }
  }

 private:
  /// The first `total` rows: batches of like length where a batch is as long as its longest row, else in their order.
  static std::vector<int32_t> rows_by_length(const SplitSets& data, int64_t total) {
    std::vector<int32_t> rows(static_cast<size_t>(total));
    std::iota(rows.begin(), rows.end(), 0);
    const auto set = std::ranges::find_if(data, [](const Dataset* each) { return have_run_time_dim(each->lengths()); });
    if (set == data.end()) return rows;
    const std::vector<int64_t> keys = length_keys((*set)->lengths());
    std::ranges::stable_sort(rows, {}, [&](int32_t row) { return keys[static_cast<size_t>(row)]; });
    return rows;
  }

  Result<void> begin_totals(const SplitSets& data) {
    totals_frame_.emplace(session_.frame(*totals_entry_));
    SMELT_TRY_VOID(totals_frame_->own_outputs());
    totals_frame_->set_datasets(data);
    totals_.emplace(*totals_entry_);
    return {};
  }

  Result<void> run_once(const SplitSets& data, int64_t batch) {
    frame_.set_datasets(data);
    frame_.set_batch(batch);
    session_.set_runs(entry_, 0);
    return call(1);
  }

  Result<void> run_batch(std::span<const int32_t> rows, int64_t number) {
    frame_.set_rows(rows);
    session_.set_runs(entry_, number);
    if (totals_entry_ != nullptr) {
      totals_frame_->set_rows(rows);
      SMELT_TRY_VOID(totals_frame_->check_sizes());
      session_.set_runs(*totals_entry_, number);
      const int32_t status = session_.call(*totals_frame_);
      if (status != SMELT_CALL_OK && status != SMELT_CALL_NONFINITE) return check_status(status, *totals_entry_);
      totals_->add(*totals_entry_, *totals_frame_);
    }
    return call(static_cast<double>(rows.size()));
  }

  Result<void> call(double weight) {
    SMELT_TRY_VOID(frame_.check_sizes());
    const int32_t status = session_.call(frame_);
    // A loss that is not finite is a result here: nothing is trained on it.
    if (status != SMELT_CALL_OK && status != SMELT_CALL_NONFINITE) return check_status(status, entry_);
    for (size_t i = 0; i < sums_.size(); ++i) {
      if (!entry_.outputs[i].type.shape.empty()) continue;
      if (trace_ && !is_combined(i) && !std::isfinite(frame_.scalar(i))) return stop_at(i, frame_.scalar(i));
      sums_[i] += weight * frame_.scalar(i);
    }
    weight_ += weight;
    return {};
  }

  /// Whether output i comes from the totals: its value of one batch is nothing.
  bool is_combined(size_t i) const {
    const auto same = [&](const Binding& b) {
      return b.name == entry_.outputs[i].name && b.kind == entry_.outputs[i].kind;
    };
    return result_entry_ != nullptr && std::ranges::any_of(result_entry_->outputs, same);
  }

  Result<void> stop_at(size_t output, double value) const {
    trace_({session_, frame_, SMELT_CALL_NONFINITE, data_, 0});
    const std::string batch =
        data_.empty() ? "" : fmt::format(" in batch {} of split `{}`", session_.runs(entry_), data_.front()->split());
    const Binding& binding = entry_.outputs[output];
    return fail(ErrorKind::NonFinite, fmt::format("{} `{}`: `{}` is {}{}", to_string(entry_.kind), entry_.name,
                                                  binding.name, nonfinite_text(value), batch));
  }

  Session& session_;
  const Entry& entry_;
  const Entry* totals_entry_;  // and result_entry_: of values that are no means by rows
  const Entry* result_entry_;
  const TraceCall& trace_;
  SplitSets data_;
  std::optional<CallFrame> totals_frame_;
  std::optional<Totals> totals_;
  CallFrame frame_;
  std::vector<double> sums_;
  double weight_ = 0;
};

}  // namespace

const NamedValue* find_value(const std::vector<NamedValue>& values, std::string_view name) {
  const auto it = std::find_if(values.begin(), values.end(), [&](const NamedValue& v) { return v.name == name; });
  return it == values.end() ? nullptr : &*it;
}

Result<std::vector<NamedValue>> evaluate(Session& session, const SplitSets& data, int64_t batch,
                                         const std::vector<std::string>& names, const TraceCall& trace) {
  if (batch < 1) return fail(ErrorKind::Usage, fmt::format("a batch of {} rows", batch));
  std::vector<NamedValue> out;
  for (const std::string& name : names) {
    SMELT_TRY(const Entry* entry, find_evaluated(session.program(), name));
    Evaluation evaluation(session, *entry, trace);
    SMELT_TRY_VOID(evaluation.run(data, batch));
    evaluation.append_to(out);
  }
  return out;
}

}  // namespace smelt
