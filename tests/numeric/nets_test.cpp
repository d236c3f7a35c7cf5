// The MLP, the VAE and the GAN of the examples against stored results of PyTorch, from the same start weights
// on the same rows: losses of the first steps, and the gradient of every parameter at step 1. The VAE's and
// GAN's noise is data.
#include "tests/numeric/stored_results.h"

namespace smelt::numeric {
namespace {

constexpr double kTolerance = 1e-5;    // f32: |a - b| / |b| of a loss, max|a - b| / max|b| of a gradient
constexpr double kTolerance64 = 1e-9;  // f64: leaves no room for another formula
constexpr size_t kSigns = 4;

struct Net {
  std::string name, file, flags;
  size_t losses;      // that are compared
  size_t losses_f32;  // the same in f32: fewer where rounding errors grow
};

void write_data(const std::string& folder) {
  write_array(folder + "images.npy", DType::U8, {512, 784}, images(512));
  for (const int64_t width : {20, 64}) {
    write_array(fmt::format("{}noise{}.npy", folder, width), DType::F32, {512, width},
                to_float(noise(static_cast<size_t>(512 * width))));
  }
}

/// Where the data files are looked up beside the model file, it is copied to them.
std::string model_in(const std::string& folder, const std::string& file) {
  std::filesystem::copy_file(file, folder + "model.smelt");
  return "model.smelt";
}

double difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(a[i] - b[i]);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

double largest(const std::vector<double>& values) {
  return difference(values, std::vector<double>(values.size(), 0.0));
}

void check_error(const std::string& what, double error, double tolerance) {
  CHECK_MESSAGE(error <= tolerance, fmt::format("{}: {:.2e} > {:.0e}", what, error, tolerance));
}

/// Every element of every gradient of a narrow net.
void check_all_elements(const std::string& what, const TensorFile& ours, const TensorFile& stored,
                        const nlohmann::json& parameters, double tolerance) {
  double worst = 0;
  for (const nlohmann::json& line : parameters) {
    const std::string path = line["path"];
    const auto expected = stored.values(path);
    const double error = difference(ours.values(path), expected) / largest(expected);
    check_error(what + " " + path, error, tolerance);
    worst = std::max(worst, error);
  }
  MESSAGE(fmt::format("{}: worst gradient error {:.2e}", what, worst));
}

/// Sampled elements, the largest magnitude, and signed sums that every element enters.
void check_summary(const std::string& what, const TensorFile& ours, const TensorFile& stored,
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
void check_gradients(const std::string& what, const std::string& folder, const std::string& flags,
                     const std::string& stored, const nlohmann::json& parameters, double tolerance) {
  run_smelt(folder, fmt::format("debug grads {} --weights start.safetensors -o {}.safetensors", flags, stored));
  check_summary(what, TensorFile(folder + stored + ".safetensors"), TensorFile(kStored + stored + ".safetensors"),
                parameters, tolerance);
}

void compare(const Net& net) {
  const nlohmann::json stored = read_json(kStored + net.name + ".json");
  for (const bool wide : {false, true}) {
    const std::string precision = wide ? "f64" : "f32";
    const std::string what = net.name + " " + precision;
    const std::string folder = work_folder(net.name + "_" + precision);
    const double tolerance = wide ? kTolerance64 : kTolerance;
    write_data(folder);
    write_weights(folder + "start.safetensors", stored["parameters"], wide ? DType::F64 : DType::F32);
    const std::string model = model_in(folder, net.file);
    const std::string flags = fmt::format("{} {} --precision {} --threads 1", model, net.flags, precision);

    run_smelt(folder, fmt::format("train {} --no-shuffle --init start.safetensors --steps {} -o run", flags,
                                  net.name == "gan" ? net.losses / 2 : net.losses));
    const size_t count = wide ? net.losses : net.losses_f32;
    check_losses(what, read_losses(folder + "run"), stored["losses_" + precision], count, tolerance);

    check_gradients(what, folder, flags, net.name + "_grads", stored["parameters"], tolerance);
    if (net.name == "gan") {
      check_gradients(what + " g_loss", folder, flags + " --objective g_loss", "gan_g_loss_grads", stored["parameters"],
                      tolerance);
    }
    if (!stored.contains("narrow_parameters")) continue;
    write_weights(folder + "narrow.safetensors", stored["narrow_parameters"], wide ? DType::F64 : DType::F32);
    run_smelt(
        folder,
        fmt::format("debug grads {} --set hidden=16 --weights narrow.safetensors -o narrow_grads.safetensors", flags));
    check_all_elements(what + " narrow", TensorFile(folder + "narrow_grads.safetensors"),
                       TensorFile(kStored + net.name + "_narrow_grads.safetensors"), stored["narrow_parameters"],
                       tolerance);
  }
}

TEST_CASE("mlp_losses_and_gradients_agree_with_pytorch") {
  compare({"mlp", std::string(SMELT_SOURCE_DIR) + "/examples/mlp.smelt", "--set p=0", 100, 100});
}

TEST_CASE("vae_losses_and_gradients_agree_with_pytorch") { compare({"vae", kSource + "vae.smelt", "", 100, 100}); }

// The two nets drive each other: PyTorch in f32 leaves PyTorch in f64 by 1e-5 after 30 losses and 1e-3 after
// 100.
TEST_CASE("gan_losses_and_gradients_agree_with_pytorch") { compare({"gan", kSource + "gan.smelt", "", 100, 20}); }

}  // namespace
}  // namespace smelt::numeric
