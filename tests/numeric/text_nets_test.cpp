// The language models of the examples against stored results of PyTorch, from the same start weights on the same rows
// of a text that is a formula: 50 losses in f32, three in f64, and the gradient of every parameter at step 1.
#include "tests/numeric/net_gradients.h"

namespace smelt::numeric {
namespace {

constexpr uint32_t kBytes = 150'000;

/// Letters in an order that repeats after 977 of them, as make_text.py has them.
void write_book(const std::string& folder) {
  std::string text(kBytes, ' ');
  for (uint32_t i = 0; i < kBytes; ++i) text[i] = static_cast<char>('a' + (mix(kText, i % 977) >> 9) % 16);
  std::ofstream(folder + "bible.txt") << text;
}

void compare(const std::string& name) {
  const nlohmann::json stored = read_json(kStored + name + ".json");
  const std::string folder = work_folder(name);
  write_book(folder);
  std::filesystem::copy_file(std::string(SMELT_SOURCE_DIR) + "/examples/" + name + ".smelt", folder + "model.smelt");
  for (const bool wide : {false, true}) {
    const std::string precision = wide ? "f64" : "f32";
    const double tolerance = wide ? kTolerance64 : kTolerance;
    const size_t count = wide ? 3 : 50;
    write_weights(folder + "start.safetensors", stored["parameters"], wide ? DType::F64 : DType::F32);
    const std::string flags = fmt::format("model.smelt --precision {} --threads 1", precision);
    run_smelt(folder,
              fmt::format("train {} --no-shuffle --init start.safetensors --steps {} -o {}", flags, count, precision));
    check_losses(name + " " + precision, read_losses(folder + precision), stored["losses_" + precision], count,
                 tolerance);
    check_gradients(name + " " + precision, folder, flags, name + "_grads", stored["parameters"], tolerance);
  }
}

TEST_CASE("charlm_lstm_agrees_with_pytorch") { compare("charlm_lstm"); }
TEST_CASE("gpt_agrees_with_pytorch") { compare("gpt"); }

}  // namespace
}  // namespace smelt::numeric
