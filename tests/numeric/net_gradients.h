// Gradients of whole nets against what PyTorch's were, summed up in a file.
#pragma once

#include "tests/numeric/stored_results.h"

namespace smelt::numeric {

inline constexpr double kTolerance = 1e-5;    // f32: |a - b| / |b| of a loss, max|a - b| / max|b| of a gradient
inline constexpr double kTolerance64 = 1e-9;  // f64: leaves no room for another formula
inline constexpr size_t kSigns = 4;

inline double difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(a[i] - b[i]);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

inline double largest(const std::vector<double>& values) {
  return difference(values, std::vector<double>(values.size(), 0.0));
}

inline void check_error(const std::string& what, double error, double tolerance) {
  CHECK_MESSAGE(error <= tolerance, fmt::format("{}: {:.2e} > {:.0e}", what, error, tolerance));
}

/// Sampled elements, the largest magnitude, and signed sums that every element enters.
inline void check_summary(const std::string& what, const TensorFile& ours, const TensorFile& stored,
                          const nlohmann::json& parameters, double tolerance) {
  double worst = 0;
  for (const nlohmann::json& line : parameters) {
    const std::string path = line["path"];
    if (!stored.has(path + "/max")) continue;  // a parameter that the first objective leaves alone
    const std::vector<double> gradient = ours.values(path), at = stored.values(path + "/at");
    const double scale = stored.values(path + "/max")[0];
    std::vector<double> sampled, sums(kSigns);
    for (const double index : at) sampled.push_back(gradient.at(static_cast<size_t>(index)));
    for (size_t i = 0; i < gradient.size(); ++i) {
      for (uint32_t s = 0; s < kSigns; ++s)
        sums[s] += mix(kSign + s, static_cast<uint32_t>(i)) >> 31 ? -gradient[i] : gradient[i];
    }
    const double error =
        std::max(difference(sampled, stored.values(path + "/value")), std::abs(largest(gradient) - scale)) / scale;
    check_error(what + " " + path, error, tolerance);
    // n independent errors of at most the tolerance add up to its root(n)-fold, four of them for certainty.
    const double sum_error =
        difference(sums, stored.values(path + "/sums")) / scale / std::sqrt(static_cast<double>(gradient.size()));
    check_error(what + " sums of " + path, sum_error, 4 * tolerance);
    worst = std::max(worst, error);
  }
  MESSAGE(fmt::format("{}: worst gradient error {:.2e}", what, worst));
}

/// The gradients of step 1 against the summary in `stored`.
inline void check_gradients(const std::string& what, const std::string& folder, const std::string& flags,
                            const std::string& stored, const nlohmann::json& parameters, double tolerance) {
  run_smelt(folder, fmt::format("debug grads {} --weights start.safetensors -o {}.safetensors", flags, stored));
  check_summary(what, TensorFile(folder + stored + ".safetensors"), TensorFile(kStored + stored + ".safetensors"),
                parameters, tolerance);
}

/// How many steps two correct runs stay together.
struct StepsTogether {
  size_t f32 = 50, f64 = 3;
};

/// model.smelt in `folder` against what is stored of `name`, in both precisions from the same start weights: losses,
/// and the gradients of step 1.
inline void compare_with_stored(const std::string& name, const std::string& folder, const std::string& options = "",
                                StepsTogether steps = {}) {
  const nlohmann::json stored = read_json(kStored + name + ".json");
  for (const bool wide : {false, true}) {
    const std::string precision = wide ? "f64" : "f32", what = name + " " + precision;
    const double tolerance = wide ? kTolerance64 : kTolerance;
    const size_t count = wide ? steps.f64 : steps.f32;
    write_weights(folder + "start.safetensors", stored["parameters"], wide ? DType::F64 : DType::F32);
    const std::string flags = fmt::format("model.smelt --precision {} --threads 1{}", precision, options);
    run_smelt(folder,
              fmt::format("train {} --no-shuffle --init start.safetensors --steps {} -o {}", flags, count, precision));
    check_losses(what, read_losses(folder + precision), stored["losses_" + precision], count, tolerance);
    check_gradients(what, folder, flags, name + "_grads", stored["parameters"], tolerance);
  }
}

}  // namespace smelt::numeric
