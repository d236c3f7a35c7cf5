#include "runtime/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

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

class Evaluation {
 public:
  Evaluation(Session& session, const Entry& entry, const TraceCall& trace)
      : session_(session), entry_(entry), trace_(trace), frame_(session.frame(entry)) {}

  Result<void> run(const Dataset* data, int64_t batch, std::span<const int32_t> rows) {
    SMELT_TRY_VOID(frame_.own_outputs());
    sums_.assign(entry_.outputs.size(), 0.0);
    if (!frame_.takes_rows()) return run_once(data, batch);
    if (data == nullptr) {
      return fail(ErrorKind::Usage,
                  fmt::format("{} `{}` reads a data set, and none is given", to_string(entry_.kind), entry_.name));
    }
    frame_.set_dataset(*data);
    data_ = data;
    const auto total = static_cast<int64_t>(rows.size());
    for (int64_t begin = 0, number = 0; begin < total; begin += batch, ++number) {
      const int64_t size = std::min(batch, total - begin);
      if (size < batch && !frame_.has_free_batch()) break;
      SMELT_TRY_VOID(run_batch(rows.subspan(static_cast<size_t>(begin), static_cast<size_t>(size)), number));
    }
    if (weight_ > 0) return {};
    return fail(ErrorKind::Input,
                fmt::format("split `{}` has {} rows, fewer than one batch of {}", data->split(), total, batch));
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
  Result<void> run_once(const Dataset* data, int64_t batch) {
    if (data != nullptr) frame_.set_dataset(*data);
    frame_.set_batch(batch);
    session_.set_runs(entry_, 0);
    return call(1);
  }

  Result<void> run_batch(std::span<const int32_t> rows, int64_t number) {
    frame_.set_rows(rows);
    session_.set_runs(entry_, number);
    return call(static_cast<double>(rows.size()));
  }

  Result<void> call(double weight) {
    const int32_t status = session_.call(frame_);
    // A loss that is not finite is a result here: nothing is trained on it.
    if (status != SMELT_CALL_OK && status != SMELT_CALL_NONFINITE) return check_status(status, entry_);
    for (size_t i = 0; i < sums_.size(); ++i) {
      if (!entry_.outputs[i].type.shape.empty()) continue;
      if (trace_ && !std::isfinite(frame_.scalar(i))) return stop_at(i);
      sums_[i] += weight * frame_.scalar(i);
    }
    weight_ += weight;
    return {};
  }

  Result<void> stop_at(size_t output) const {
    trace_({session_, frame_, SMELT_CALL_NONFINITE, data_, 0});
    const std::string batch =
        data_ == nullptr ? "" : fmt::format(" in batch {} of split `{}`", session_.runs(entry_), data_->split());
    const Binding& binding = entry_.outputs[output];
    return fail(ErrorKind::NonFinite, fmt::format("{} `{}`: `{}` is {}{}", to_string(entry_.kind), entry_.name,
                                                  binding.name, nonfinite_text(frame_.scalar(output)), batch));
  }

  Session& session_;
  const Entry& entry_;
  const TraceCall& trace_;
  const Dataset* data_ = nullptr;
  CallFrame frame_;
  std::vector<double> sums_;
  double weight_ = 0;
};

}  // namespace

const NamedValue* find_value(const std::vector<NamedValue>& values, std::string_view name) {
  const auto it = std::find_if(values.begin(), values.end(), [&](const NamedValue& v) { return v.name == name; });
  return it == values.end() ? nullptr : &*it;
}

Result<std::vector<NamedValue>> evaluate(Session& session, const Dataset* data, int64_t batch,
                                         const std::vector<std::string>& names, const TraceCall& trace) {
  if (batch < 1) return fail(ErrorKind::Usage, fmt::format("a batch of {} rows", batch));
  std::vector<int32_t> rows(data == nullptr ? 0 : static_cast<size_t>(data->rows()));
  std::iota(rows.begin(), rows.end(), 0);
  std::vector<NamedValue> out;
  for (const std::string& name : names) {
    SMELT_TRY(const Entry* entry, find_evaluated(session.program(), name));
    Evaluation evaluation(session, *entry, trace);
    SMELT_TRY_VOID(evaluation.run(data, batch, rows));
    evaluation.append_to(out);
  }
  return out;
}

}  // namespace smelt
