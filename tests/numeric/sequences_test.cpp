// Layers and functions of sequences against stored results of PyTorch: three steps in f64 with the square of the
// gradient in the loss, one case of stored/sequences.json at a time.
#include "tests/numeric/stored_results.h"

namespace smelt::numeric {
namespace {

constexpr double kFirst = 1e-12;     // of the first loss: the values, and their gradient by the input
constexpr double kTolerance = 1e-9;  // of later losses, and of a final parameter relative to the largest of its tensor

void write_inputs(const std::string& folder) {
  std::vector<int32_t> labels;
  for (uint32_t i = 0; i < 20; ++i) labels.push_back(static_cast<int32_t>(mix(kSequence + 2, i) % 8));
  write_array(folder + "x.npy", DType::F32, {4, 5, 8}, to_float(uniform(kSequence, 4 * 5 * 8, 2.0)));
  write_array(folder + "m.npy", DType::F32, {4, 3, 6}, to_float(uniform(kSequence + 1, 4 * 3 * 6, 2.0)));
  write_array(folder + "lengths.npy", DType::I32, {4}, std::vector<int32_t>{5, 1, 3, 2});
  write_array(folder + "labels.npy", DType::I32, {4, 5}, labels);
}

TEST_CASE("layers_of_sequences_agree_with_pytorch") {
  const nlohmann::json stored = read_json(kStored + "sequences.json");
  const std::string text = read_text(kSource + "sequences.smelt.in");
  const std::string folder = work_folder("sequences");
  write_inputs(folder);
  for (const nlohmann::json& line : stored) {
    const std::string name = line["name"];
    CAPTURE(name);
    write_weights(folder + "start.safetensors", line["weights"], DType::F64);
    std::string model = text;
    model.replace(model.find("LAYER"), 5, line["smelt"].get<std::string>());
    std::ofstream(folder + name + ".smelt") << model;
    run_smelt(folder, fmt::format("train {0}.smelt --precision f64 --no-shuffle --init start.safetensors "
                                  "--threads 1 -o {0}",
                                  name));
    const std::vector<double> losses = read_losses(folder + name);
    check_losses(name, losses, line["losses"], 1, kFirst);
    check_losses(name, losses, line["losses"], 3, kTolerance);

    const TensorFile parameters(folder + name + "/checkpoints/step-3.safetensors");
    for (const auto& [path, values] : line["parameters"].items())
      check_parameter(name + " " + path, parameters.values(path), values, kTolerance);
  }
}

}  // namespace
}  // namespace smelt::numeric
