// Sounds against stored results: rates against SciPy, mu-law and spectra with their derivatives against PyTorch, in
// f64.
#include "runtime/files/resample.h"
#include "tests/numeric/stored_results.h"

namespace smelt::numeric {
namespace {

constexpr double kTolerance = 1e-11;  // relative to the largest stored element

/// Every `every`th element.
void check_elements(const std::string& what, const std::vector<double>& ours, const std::vector<double>& stored,
                    size_t every, double tolerance) {
  REQUIRE(stored.size() == (ours.size() + every - 1) / every);
  double scale = 0, error = 0;
  for (size_t i = 0; i < stored.size(); ++i) {
    scale = std::max(scale, std::abs(stored[i]));
    if (!(std::abs(ours[i * every] - stored[i]) <= error)) error = std::abs(ours[i * every] - stored[i]);
  }
  const std::string message = fmt::format("{}: {:.2e} of the largest", what, error / scale);
  MESSAGE(message);
  CHECK_MESSAGE(error <= tolerance * scale, message);
}

TEST_CASE("other_rates_agree_with_scipy") {
  const nlohmann::json stored = read_json(kStored + "sound.json");
  for (const nlohmann::json& line : stored["rates"]) {
    const std::vector<float> x = to_float(uniform(line["stream"], line["count"], 1.0));
    const std::vector<float> y = resample(x, line["from"], line["to"]);
    REQUIRE(y.size() == line["length"]);
    check_elements(fmt::format("{} to {}", line["from"].dump(), line["to"].dump()), {y.begin(), y.end()},
                   line["values"], stored["every"], 1e-7);  // our result is f32
  }
}

TEST_CASE("mu_law_and_spectra_agree_with_pytorch") {
  const nlohmann::json stored = read_json(kStored + "sound.json");
  const std::string folder = work_folder("sound");
  std::filesystem::copy_file(kSource + "sound.smelt", folder + "sound.smelt");
  const std::vector<float> x = to_float(uniform(stored["stream"], 3 * 400, 1.25));
  write_array(folder + "x.npy", DType::F64, {3, 400}, std::vector<double>(x.begin(), x.end()));
  std::string last;
  for (const auto& [name, values] : stored["results"].items()) {
    const std::string exported = name.substr(0, name.find('.'));
    if (exported != last)
      run_smelt(folder,
                fmt::format("run sound.smelt {0} --precision f64 --threads 1 --input x=x.npy -o {0}.npy", exported));
    last = exported;
    const Result<NpyFile> ours = read_npy(folder + name + ".npy");
    REQUIRE_MESSAGE(ours, name);
    std::vector<double> elements;
    for (int64_t i = 0; i < num_elements(ours->tensor.shape).value(); ++i) elements.push_back(element(ours->tensor, i));
    check_elements(name, elements, values, stored["every"], kTolerance);
  }
}

}  // namespace
}  // namespace smelt::numeric
