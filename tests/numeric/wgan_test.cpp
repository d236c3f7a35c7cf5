// The first 60 losses of a Wasserstein GAN with gradient penalty, 50 of them the critic's, against PyTorch from the
// same start weights on the same points and noise.
#include <numbers>

#include "tests/numeric/stored_results.h"

namespace smelt::numeric {
namespace {

/// As in stored/make.py: points of a circle of radius 2, one of eight, and noise around it.
std::vector<double> ring(size_t rows) {
  std::vector<double> points = noise(2 * rows);
  for (size_t row = 0; row < rows; ++row) {
    const double angle = mix(kRing, static_cast<uint32_t>(row)) % 8 * (std::numbers::pi / 4);
    points[2 * row] = 2 * std::cos(angle) + 0.05 * points[2 * row];
    points[2 * row + 1] = 2 * std::sin(angle) + 0.05 * points[2 * row + 1];
  }
  return points;
}

TEST_CASE("losses of a GAN with gradient penalty agree with pytorch") {
  const nlohmann::json stored = read_json(kStored + "wgan_gp.json");
  for (const bool wide : {false, true}) {
    const std::string precision = wide ? "f64" : "f32";
    const std::string folder = work_folder("wgan_gp_" + precision);
    std::vector<double> weights = uniform(kRing + 1, 512, 1.0);
    for (double& weight : weights) weight = 0.5 + 0.5 * weight;
    write_array(folder + "ring.npy", DType::F32, {512, 2}, to_float(ring(512)));
    write_array(folder + "noise.npy", DType::F32, {512, 2}, to_float(noise(1024)));
    write_array(folder + "mix.npy", DType::F32, {512}, to_float(weights));
    write_weights(folder + "start.safetensors", stored["parameters"], wide ? DType::F64 : DType::F32);
    std::filesystem::copy_file(kSource + "wgan_gp.smelt", folder + "model.smelt");
    run_smelt(
        folder,
        fmt::format(
            "train model.smelt --precision {} --threads 1 --no-shuffle --init start.safetensors --steps 10 -o run",
            precision));
    check_losses("wgan_gp " + precision, read_losses(folder + "run"), stored["losses_" + precision], 60,
                 wide ? 1e-9 : 1e-4);
  }
}

}  // namespace
}  // namespace smelt::numeric
