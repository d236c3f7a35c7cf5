// Every optimiser, schedule, activation and loss of the standard library against stored results of PyTorch:
// 10 steps of a tiny net in f64, one line of stored/cases.json at a time.
#include "tests/numeric/stored_results.h"

namespace smelt::numeric {
namespace {

constexpr double kTolerance = 1e-9;  // of a loss, and of a final parameter relative to the largest of its tensor

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

void write_tiny(const std::string& folder) {
  std::vector<int32_t> labels;
  for (uint32_t i = 0; i < 32; ++i) labels.push_back(static_cast<int32_t>(mix(kTiny + 2, i) % 3));
  write_array(folder + "x.npy", DType::F32, {32, 6}, to_float(uniform(kTiny, 32 * 6, 2.0)));
  write_array(folder + "y.npy", DType::F32, {32, 3}, to_float(uniform(kTiny + 1, 32 * 3, 2.0)));
  write_array(folder + "c.npy", DType::I32, {32}, labels);
}

void compare(const std::string& kind) {
  const nlohmann::json lines = read_json(kStored + "cases.json")[kind];
  const nlohmann::json stored = read_json(kStored + "std.json")[kind];
  const std::string text = read_text(kSource + "std.smelt.in");
  const std::string folder = work_folder("std_" + kind);
  write_tiny(folder);
  const nlohmann::json table = {{{"path", "net.fc1.W"}, {"shape", {6, 5}}, {"scale", 0.5}, {"stream", 0}},
                                {{"path", "net.fc1.b"}, {"shape", {5}}, {"scale", 0.25}, {"stream", 1}},
                                {{"path", "net.fc2.W"}, {"shape", {5, 3}}, {"scale", 0.5}, {"stream", 2}},
                                {{"path", "net.fc2.b"}, {"shape", {3}}, {"scale", 0.25}, {"stream", 3}}};
  write_weights(folder + "start.safetensors", table, DType::F64);
  REQUIRE(lines.size() == stored.size());
  for (const nlohmann::json& line : lines) {
    const std::string name = line["name"], expression = line["smelt"];
    CAPTURE(name);
    std::string model = replaced(text, "ACTIVATION", kind == "activations" ? expression : "tanh(h)");
    model = replaced(model, "LOSS", kind == "losses" || kind == "zoo" ? expression : "mse(o, y)");
    model = replaced(model, "OPTIMISER", kind == "optimisers" || kind == "schedules" ? expression : "sgd(lr = 0.1)");
    std::ofstream(folder + name + ".smelt") << model;
    run_smelt(folder, fmt::format("train {0}.smelt --precision f64 --no-shuffle --init start.safetensors "
                                  "--partial --steps 10 --threads 1 -o {0}",
                                  name));
    check_losses(kind + " " + name, read_losses(folder + name), stored[name]["losses"], 10, kTolerance);

    const TensorFile parameters(folder + name + "/checkpoints/step-10.safetensors");
    for (const auto& [path, values] : stored[name]["parameters"].items())
      check_parameter(name + " " + path, parameters.values(path), values, kTolerance);
  }
}

TEST_CASE("optimisers_agree_with_pytorch") { compare("optimisers"); }
TEST_CASE("schedules_agree_with_pytorch") { compare("schedules"); }
TEST_CASE("activations_and_normalisations_agree_with_pytorch") { compare("activations"); }
TEST_CASE("losses_and_densities_agree_with_pytorch") { compare("losses"); }
TEST_CASE("losses_of_the_zoo_agree_with_pytorch") { compare("zoo"); }

}  // namespace
}  // namespace smelt::numeric
