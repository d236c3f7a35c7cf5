// Layers and functions of pictures against stored results of PyTorch: three steps in f64 with the square of the
// gradient in the loss, one line of stored/picture_cases.json at a time.
#include "tests/numeric/stored_results.h"

namespace smelt::numeric {
namespace {

constexpr double kTolerance = 1e-9;  // of a loss, and of a final parameter relative to the largest of its tensor

TEST_CASE("layers_of_pictures_agree_with_pytorch") {
  const nlohmann::json lines = read_json(kStored + "picture_cases.json");
  const nlohmann::json stored = read_json(kStored + "pictures.json")["cases"];
  const std::string text = read_text(kSource + "pictures.smelt.in");
  const std::string folder = work_folder("pictures");
  write_array(folder + "x.npy", DType::F32, {4, 4, 6, 7}, to_float(uniform(kPicture, 4 * 4 * 6 * 7, 2.0)));
  REQUIRE(lines.size() == stored.size());
  for (const nlohmann::json& line : lines) {
    const std::string name = line["name"];
    CAPTURE(name);
    nlohmann::json table = {{{"path", "net.gain"}, {"shape", {4}}, {"scale", 0.5}, {"stream", 0}}};
    table.insert(table.end(), line["parameters"].begin(), line["parameters"].end());
    write_weights(folder + "start.safetensors", table, DType::F64);
    std::string model = text;
    model.replace(model.find("LAYER"), 5, line["smelt"].get<std::string>());
    std::ofstream(folder + name + ".smelt") << model;
    run_smelt(folder, fmt::format("train {0}.smelt --precision f64 --no-shuffle --init start.safetensors --partial "
                                  "--threads 1 -o {0}",
                                  name));
    check_losses(name, read_losses(folder + name), stored[name]["losses"], 3, kTolerance);

    const TensorFile parameters(folder + name + "/checkpoints/step-3.safetensors");
    for (const auto& [path, values] : stored[name]["parameters"].items())
      check_parameter(name + " " + path, parameters.values(path), values, kTolerance);
  }
}

}  // namespace
}  // namespace smelt::numeric
