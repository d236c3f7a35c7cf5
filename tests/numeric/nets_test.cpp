// The MLP, the VAE and the GAN of the examples against stored results of PyTorch, from the same start weights
// on the same rows: losses of the first steps, and the gradient of every parameter at step 1. The VAE's and
// GAN's noise is data.
#include "tests/numeric/net_gradients.h"

namespace smelt::numeric {
namespace {

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
