// A program whose functions are written in C++ here: y = w x + b, fitted by momentum on noisy data, with
// everything a compiled one has: counters, a schedule, noise that depends on the run, a guard against NaN.
#pragma once

#include <cmath>
#include <cstring>
#include <string>

#include "ir/philox.h"
#include "runtime/program.h"
#include "runtime/session.h"

namespace smelt::test::fake {

constexpr int64_t kBatchBound = 4;
constexpr uint64_t kStepRuns = 64, kLossRuns = 72, kSampleRuns = 80, kLr = 88, kLastLoss = 96, kImageRuns = 104;
constexpr uint64_t kW = 128, kB = 132, kCount = 136, kSlot = 144, kConst = 160, kVariablesEnd = 192, kArenaBytes = 256;

template <typename T>
T& at(const smelt_call* call, uint64_t offset) {
  return *reinterpret_cast<T*>(static_cast<char*>(call->arena) + offset);
}
inline smelt_arena& header(const smelt_call* call) { return *static_cast<smelt_arena*>(call->arena); }

inline float noise(const smelt_call* call, uint32_t run, uint32_t element) {
  const auto words = philox(header(call).seed, {element / 4, 0, run, 99});
  return static_cast<float>(words[element % 4]) * 0x1p-32f - 0.5f;
}

inline int32_t init(const smelt_call* call) {
  at<float>(call, kW) = noise(call, 0, 0);
  at<float>(call, kB) = noise(call, 0, 1);
  at<float>(call, kCount) = 0;
  at<float>(call, kSlot) = 0;
  at<float>(call, kSlot + 4) = 0;
  at<float>(call, kConst) = noise(call, 0, 2);
  return SMELT_CALL_OK;
}

struct Sums {
  float loss = 0, dw = 0, db = 0;
};
inline Sums sums(const smelt_call* call, bool noisy, uint32_t run) {
  const auto* x = static_cast<const float*>(call->inputs[0]);
  const auto* y = static_cast<const float*>(call->inputs[1]);
  const auto* rows = static_cast<const int32_t*>(call->inputs[2]);
  const int64_t count = call->extents[0];
  Sums out;
  for (int64_t i = 0; i < count; ++i) {
    const float jitter = noisy ? 0.1f * noise(call, run, static_cast<uint32_t>(i)) : 0.0f;
    const float xi = x[rows[i]] + jitter;
    const float error = at<float>(call, kW) * xi + at<float>(call, kB) - y[rows[i]];
    out.loss += error * error / static_cast<float>(count);
    out.dw += 2 * error * xi / static_cast<float>(count);
    out.db += 2 * error / static_cast<float>(count);
  }
  return out;
}

inline int32_t step(const smelt_call* call) {
  auto& runs = at<int64_t>(call, kStepRuns);
  const Sums s = sums(call, true, static_cast<uint32_t>(runs));
  *static_cast<float*>(call->outputs[0]) = s.loss;
  *static_cast<float*>(call->outputs[1]) = s.dw;
  if (!std::isfinite(s.loss)) return SMELT_CALL_NONFINITE;
  const double progress = static_cast<double>(header(call).iteration) / static_cast<double>(header(call).horizon);
  const auto lr = static_cast<float>(at<double>(call, kLr) * (1 - 0.5 * progress));
  const float gradient[] = {s.dw, s.db};
  for (uint64_t k = 0; k < 2; ++k) {
    float& m = at<float>(call, kSlot + 4 * k);
    m = 0.9f * m + gradient[k];
    at<float>(call, kW + 4 * k) -= lr * m;
  }
  at<float>(call, kCount) += static_cast<float>(call->extents[0]);
  ++runs;
  return SMELT_CALL_OK;
}

inline int32_t loss(const smelt_call* call) {
  const Sums s = sums(call, false, static_cast<uint32_t>(at<int64_t>(call, kLossRuns)));
  *static_cast<float*>(call->outputs[0]) = s.loss;
  *static_cast<float*>(call->outputs[1]) = static_cast<float>(at<int64_t>(call, kLossRuns));
  return SMELT_CALL_OK;
}

/// The mean of y over the batch.
inline int32_t metric(const smelt_call* call) {
  const auto* y = static_cast<const float*>(call->inputs[1]);
  const auto* rows = static_cast<const int32_t*>(call->inputs[2]);
  float sum = 0;
  for (int64_t i = 0; i < call->extents[0]; ++i) sum += y[rows[i]];
  *static_cast<float*>(call->outputs[0]) = sum / static_cast<float>(call->extents[0]);
  return SMELT_CALL_OK;
}

/// predict(x: f32[B, K<=3]) -> f32[B, K]: an inner run-time axis as well; memory by bounds.
inline int32_t predict(const smelt_call* call) {
  const auto* x = static_cast<const float*>(call->inputs[0]);
  auto* y = static_cast<float*>(call->outputs[0]);
  for (int64_t i = 0; i < call->extents[0]; ++i) {
    for (int64_t k = 0; k < call->extents[1]; ++k) {
      y[i * 3 + k] = at<float>(call, kW) * x[i * 3 + k] + at<float>(call, kB);
    }
  }
  return SMELT_CALL_OK;
}

/// Draws x: f32[B, K], whose values tell run and element.
inline int32_t sample(const smelt_call* call) {
  auto* x = static_cast<float*>(call->outputs[0]);
  for (int64_t i = 0; i < call->extents[0]; ++i) {
    for (int64_t k = 0; k < call->extents[1]; ++k) {
      x[i * 3 + k] = static_cast<float>(1000 * at<int64_t>(call, kSampleRuns) + 10 * i + k);
    }
  }
  return SMELT_CALL_OK;
}

/// [2, 3, 4], all of it w.
inline int32_t image(const smelt_call* call) {
  for (int i = 0; i < 24; ++i) static_cast<float*>(call->outputs[0])[i] = static_cast<float>(i) / 23.0f;
  return SMELT_CALL_OK;
}

inline int32_t stop(const smelt_call* call) {
  const double last = at<double>(call, kLastLoss);
  *static_cast<uint8_t*>(call->outputs[0]) = last < 0 || std::isnan(last) ? 1 : 0;
  return SMELT_CALL_OK;
}

constexpr int kCallsPerIteration = 2;
inline int32_t iteration(const smelt_call* calls) {
  for (int i = 0; i < kCallsPerIteration; ++i) {
    if (const int32_t status = step(&calls[i]); status != SMELT_CALL_OK) return status;
  }
  ++header(calls).iteration;
  ++header(calls).entered;
  return SMELT_CALL_OK;
}

inline CompiledProgram program() {
  const Extent batch(kBatchBound, 0), inner(3, 1), rows(int64_t{1} << 40, 2);
  const TensorType scalar{DType::F32, {}}, column{DType::F32, {rows}}, matrix{DType::F32, {batch, inner}};
  const std::vector<Binding> data = {{"x", BindingKind::Column, column, 0},
                                     {"y", BindingKind::Column, column, 1},
                                     {"rows", BindingKind::Rows, {DType::I32, {batch}}, -1}};
  const Binding loss_out{"loss", BindingKind::Loss, scalar, -1}, report{"dw", BindingKind::Report, scalar, -1};
  CompiledProgram p;
  p.name = "line";
  p.hash = 0x1234;
  p.iteration_symbol = "iteration";
  p.iteration_calls = {0, 0};
  p.arena_bytes = kArenaBytes;
  p.variables_end = kVariablesEnd;
  p.symbols = {{"B", kBatchBound}, {"K", 3}, {"rows", int64_t{1} << 40}};
  p.variables = {{"net.w", VariableKind::Param, {DType::F32, {1}}, kW},
                 {"net.b", VariableKind::Param, scalar, kB},
                 {"net.count", VariableKind::State, scalar, kCount},
                 {"opt/loss/net/m", VariableKind::Slot, {DType::F32, {2}}, kSlot},
                 {"z", VariableKind::Const, scalar, kConst}};
  p.scalars = {{{"loss.lr", ScalarKind::Setting, 0.02, 0}, kLr}, {{"loss", ScalarKind::Loss, 0, 0}, kLastLoss}};
  p.entries = {
      {"init", FunctionKind::Init, "init", -1, {}, {}, {}, 0, 0, 0},
      {"loss", FunctionKind::Step, "step", -1, data, {loss_out, report}, {0, 2}, kStepRuns, 0, 0},
      {"loss", FunctionKind::Loss, "eval", -1, data, {loss_out, report}, {0, 2}, kLossRuns, 0, 0},
      {"mean_y",
       FunctionKind::Metric,
       "metric",
       -1,
       data,
       {{"mean_y", BindingKind::Value, scalar, -1}},
       {0, 2},
       0,
       0,
       0},
      {"predict",
       FunctionKind::Export,
       "predict",
       -1,
       {{"x", BindingKind::Feed, matrix, -1}},
       {{"y", BindingKind::Value, matrix, -1}},
       {0, 1},
       0,
       0,
       0},
      {"predict",
       FunctionKind::Sample,
       "sample",
       4,
       {},
       {{"x", BindingKind::Value, matrix, -1}},
       {0, 1},
       kSampleRuns,
       0,
       0},
      {"image",
       FunctionKind::Image,
       "image",
       -1,
       {},
       {{"image", BindingKind::Value, {DType::F32, {2, 3, 4}}, -1}},
       {},
       kImageRuns,
       0,
       0},
      {"stop", FunctionKind::Stop, "stop", -1, {}, {{"stop", BindingKind::Value, {DType::Bool, {}}, -1}}, {}, 0, 0, 0}};
  p.steps = {{"loss", 1, true}};
  DataPlan plan;
  plan.name = "points";
  plan.splits = {{"train", {"csv", {"train.csv"}, {}}}, {"valid", {"csv", {"valid.csv"}, {}}}};
  plan.columns = {{0, DType::F32, {}, {}}, {1, DType::F32, {}, {}}};
  p.data = plan;
  p.train.present = p.train.has_data = true;
  p.train.batch = kBatchBound;
  p.train.batch_symbol = 0;
  p.train.shuffle = true;
  p.train.epochs = 5;
  p.train.seed = 7;
  p.train.loop = {{2, {0}}};
  return p;
}

inline LoadedProgram loaded() { return {{init, step, loss, metric, predict, sample, image, stop}, iteration}; }

}  // namespace smelt::test::fake
