// The WaveNet of the examples against stored results of PyTorch, from the same start weights on the same recordings: 50
// losses in f32, three in f64, and the gradient of every parameter at step 1.
#include "runtime/files/wav.h"
#include "tests/numeric/net_gradients.h"

namespace smelt::numeric {
namespace {

constexpr uint32_t kSound = 960;  // stream of `mix`, as make_wavenet.py has it
constexpr std::string_view kLanguages[] = {"ar", "cs", "da", "de", "en",  "en_GB", "es",    "fr", "he",
                                           "hu", "it", "lt", "nb", "nds", "nl",    "pt_BR", "ru", "uk"};
constexpr uint32_t kSamples = 24 * 2048 - 500;

/// 16 levels of mu-law in an order that repeats after 977 of them. Those of half a step of 16 bits or more from the
/// border of two levels are the same level in f32 and f64.
std::string recording() {
  std::vector<float> samples;
  for (uint32_t i = 0; i < kSamples; ++i) {
    const double y = 2.0 * (64 + 8 * ((mix(kSound, i % 977) >> 9) % 16)) / 255 - 1;
    const double x = std::copysign(std::expm1(std::abs(y) * std::log(256.0)) / 255, y);
    // encode_wav multiplies by 32767 and libsndfile divides by 32768.
    samples.push_back(static_cast<float>(std::floor(32768 * x + 0.5) / 32767));
  }
  Result<std::string> file = encode_wav(samples, 8000);
  REQUIRE(file);
  return std::move(*file);
}

TEST_CASE("wavenet_agrees_with_pytorch") {
  const nlohmann::json stored = read_json(kStored + "wavenet.json");
  const std::string folder = work_folder("wavenet");
  const std::string sound = recording();
  for (const std::string_view language : kLanguages) {
    std::filesystem::create_directories(fmt::format("{}klettres/{}", folder, language));
    std::ofstream(fmt::format("{}klettres/{}/a.wav", folder, language)) << sound;
  }
  std::filesystem::copy_file(std::string(SMELT_SOURCE_DIR) + "/examples/wavenet.smelt", folder + "model.smelt");
  for (const bool wide : {false, true}) {
    const std::string precision = wide ? "f64" : "f32";
    const double tolerance = wide ? kTolerance64 : kTolerance;
    const size_t count = wide ? 3 : 50;
    write_weights(folder + "start.safetensors", stored["parameters"], wide ? DType::F64 : DType::F32);
    const std::string flags = fmt::format("model.smelt --precision {} --threads 1", precision);
    run_smelt(folder,
              fmt::format("train {} --no-shuffle --init start.safetensors --steps {} -o {}", flags, count, precision));
    check_losses("wavenet " + precision, read_losses(folder + precision), stored["losses_" + precision], count,
                 tolerance);
    check_gradients("wavenet " + precision, folder, flags, "wavenet_grads", stored["parameters"], tolerance);
  }
}

}  // namespace
}  // namespace smelt::numeric
