#include "api/smelt/gradcheck.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ir/philox.h"

namespace smelt {
namespace {

constexpr double kFirstStep = 2e-3;
constexpr int kNumSteps = 6;  // a picture of 16 x 16 x 8 rectified values has a kink within 1e-6 of most points

using Numbers = std::vector<double>;

/// A parameter with its outputs in the frame, and its direction.
struct Checked {
  int32_t variable = -1;
  std::span<double> values;
  size_t gradient = 0, product = 0;  // outputs
  Numbers direction;
};

std::span<const double> doubles(const std::byte* data, size_t count) {
  return {reinterpret_cast<const double*>(data), count};
}

/// `[3, 4]` of entry number `index`.
std::string place(const TensorType& type, size_t index) {
  std::vector<int64_t> at(type.rank());
  auto rest = static_cast<int64_t>(index);
  for (size_t axis = type.rank(); axis-- > 0;) {
    at[axis] = rest % type.shape[axis].bound;
    rest /= type.shape[axis].bound;
  }
  return fmt::format("[{}]", fmt::join(at, ", "));
}

class Checker {
 public:
  Checker(Session& session, CallFrame& frame, const GradcheckOptions& options)
      : session_(session), frame_(frame), options_(options) {
    const Entry& entry = frame.entry();
    for (size_t i = 0; i < entry.outputs.size(); ++i) {
      const Binding& output = entry.outputs[i];
      if (output.kind == BindingKind::Loss) loss_ = i;
      if (output.kind != BindingKind::Value) continue;
      Checked& each = parameter(output.ref);
      (each.gradient == 0 ? each.gradient : each.product) = i;  // the loss is output 0
    }
    for (size_t i = 0; i < entry.inputs.size(); ++i) {
      if (entry.inputs[i].kind != BindingKind::Feed) continue;
      for (Checked& each : parameters_) {
        if (entry.inputs[i].ref == each.variable) frame.set_input(i, each.direction.data());
      }
    }
  }

  Result<GradcheckResult> run() {
    SMELT_TRY(const double loss, evaluate());
    if (!std::isfinite(loss))
      return fail(
          ErrorKind::NonFinite,
          fmt::format("the loss of `{}` is {} at the point where its derivatives are compared", frame_.entry().name,
                      std::isnan(loss) ? "NaN" : "infinite"),
          "`smelt train` names the line of the first NaN of a step; `--seed` takes another start, and `--weights` "
          "the parameters of a run");
    GradcheckResult result{.loss = loss, .rows = {}};
    for (Checked& each : parameters_) {
      SMELT_TRY(GradcheckRow row, check(each));
      result.rows.push_back(std::move(row));
    }
    return result;
  }

 private:
  Checked& parameter(int32_t variable) {
    for (Checked& each : parameters_) {
      if (each.variable == variable) return each;
    }
    const StoredVariable& stored = session_.program().variables[static_cast<size_t>(variable)];
    const std::span<std::byte> bytes = session_.bytes(stored);
    const std::span<double> values(reinterpret_cast<double*>(bytes.data()), bytes.size() / sizeof(double));
    parameters_.push_back({.variable = variable, .values = values, .direction = Numbers(values.size())});
    return parameters_.back();
  }
  const StoredVariable& stored(const Checked& each) const {
    return session_.program().variables[static_cast<size_t>(each.variable)];
  }
  const std::string& path(const Checked& each) const { return stored(each).path; }

  Result<double> evaluate() {
    SMELT_TRY_VOID(check_status(session_.call(frame_), frame_.entry()));
    return frame_.scalar(loss_);
  }

  /// What is differentiated: the loss, or all entries of all gradients.
  Result<Numbers> watched() {
    SMELT_TRY(const double loss, evaluate());
    if (options_.order == 1) return Numbers{loss};
    Numbers all;
    for (const Checked& each : parameters_) {
      const auto gradient = doubles(frame_.output(each.gradient), each.values.size());
      all.insert(all.end(), gradient.begin(), gradient.end());
    }
    return all;
  }

  /// The same derivatives along the parameter's direction as the compiled function has them.
  Result<Numbers> computed(const Checked& changed) {
    SMELT_TRY_VOID(evaluate());
    if (options_.order == 1) {
      const auto gradient = doubles(frame_.output(changed.gradient), changed.values.size());
      double sum = 0;
      for (size_t i = 0; i < gradient.size(); ++i) sum += gradient[i] * changed.direction[i];
      return Numbers{sum};
    }
    Numbers all;
    for (const Checked& each : parameters_) {
      const auto product = doubles(frame_.output(each.product), each.values.size());
      all.insert(all.end(), product.begin(), product.end());
    }
    return all;
  }

  struct Differences {
    Numbers values, noise;  // what the rounding of the function's own value makes of them
  };
  Result<Differences> differences(Checked& changed, double step) {
    constexpr double kRoundings = 8;
    const Numbers start(changed.values.begin(), changed.values.end());
    Numbers total, noise;
    constexpr std::pair<double, double> kStencil[] = {{1, 8}, {-1, -8}, {2, -1}, {-2, 1}};
    for (const auto& [distance, weight] : kStencil) {
      for (size_t i = 0; i < start.size(); ++i) changed.values[i] = start[i] + distance * step * changed.direction[i];
      Result<Numbers> there = watched();
      std::ranges::copy(start, changed.values.begin());
      if (!there) return std::unexpected(there.error());
      total.resize(there->size());
      noise.resize(there->size());
      for (size_t i = 0; i < total.size(); ++i) {
        total[i] += weight * (*there)[i] / (12 * step);
        noise[i] = std::max(noise[i], kRoundings * 0x1p-52 * std::fabs((*there)[i]) / step);
      }
    }
    return Differences{std::move(total), std::move(noise)};
  }

  /// `D.out.b[0] by `, of the gradient's entry number `index` among all.
  std::string entry_of_gradient(size_t index) const {
    for (const Checked& each : parameters_) {
      if (index < each.values.size()) return fmt::format("{}{} by ", path(each), place(stored(each).type, index));
      index -= each.values.size();
    }
    return {};
  }

  Result<void> compare(Checked& changed, GradcheckRow& row, const std::string& where) {
    SMELT_TRY(const Numbers ours, computed(changed));
    double best = INFINITY, step = kFirstStep;
    GradcheckRow found;
    for (int attempt = 0; attempt < kNumSteps && !(best <= 1e-2 * options_.tolerance); ++attempt, step /= 8) {
      row.finer += attempt == 1 ? 1 : 0;
      SMELT_TRY(const Differences theirs, differences(changed, step));
      GradcheckRow now{.worst = -1};
      for (size_t i = 0; i < ours.size(); ++i) {
        const double difference = theirs.values[i], apart = std::fabs(ours[i] - difference);
        const double error =
            (apart <= theirs.noise[i] ? 0 : apart - theirs.noise[i]) / std::max(1.0, std::fabs(difference));
        if (error <= now.worst) continue;
        now.worst = std::isnan(error) ? INFINITY : error;
        now.where = (options_.order == 1 ? "" : entry_of_gradient(i)) + where;
        now.computed = ours[i], now.difference = difference;
      }
      if (attempt == 0 || now.worst < best) best = now.worst, found = now;
    }
    if (row.where.empty() || found.worst > row.worst) {
      row.worst = found.worst, row.where = found.where, row.computed = found.computed,
      row.difference = found.difference;
    }
    return {};
  }

  Result<GradcheckRow> check(Checked& each) {
    const auto count = static_cast<int64_t>(each.values.size());
    GradcheckRow row{.variable = each.variable, .entries = count};
    const bool full = count <= options_.full_up_to;
    row.directions = full ? 0 : options_.num_directions;
    for (int64_t k = 0; k < (full ? count : options_.num_directions); ++k) {
      std::ranges::fill(each.direction, 0);
      if (full) {
        each.direction[static_cast<size_t>(k)] = 1;
      } else {
        draw(each, k);
      }
      SMELT_TRY_VOID(
          compare(each, row, full ? place(stored(each).type, static_cast<size_t>(k)) : fmt::format("direction {}", k)));
    }
    std::ranges::fill(each.direction, 0);
    return row;
  }

  /// A vector of length near 1.
  static void draw(Checked& each, int64_t number) {
    const double scale = std::sqrt(3.0 / static_cast<double>(each.values.size()));
    for (size_t i = 0; i < each.direction.size(); ++i) {
      const auto words = philox(
          7, {static_cast<uint32_t>(i / 4), static_cast<uint32_t>(number), 0, static_cast<uint32_t>(each.variable)});
      each.direction[i] = scale * (words[i % 4] * 0x1p-31 - 1);
    }
  }

  Session& session_;
  CallFrame& frame_;
  const GradcheckOptions& options_;
  std::vector<Checked> parameters_;
  size_t loss_ = 0;
};

}  // namespace

Result<GradcheckResult> gradcheck(Session& session, CallFrame& frame, const GradcheckOptions& options) {
  return Checker(session, frame, options).run();
}

}  // namespace smelt
