// The first step of examples/inception_v3.smelt against torchvision's inception_v3, in f32 and f64: loss, logits in
// training and in evaluation, every gradient. stored/make_inception.py made the stored results.
#include "tests/numeric/stored_results.h"

namespace smelt::numeric {
namespace {

// So large that a parameter after the step is its gradient times this, and a power of two, so that nothing is rounded
// twice.
constexpr double kRate = 0x1p20;

/// The example with data of formulas, a step that shows the gradients, and logits to look at.
std::string model_text() {
  std::string text = read_text(std::string(SMELT_SOURCE_DIR) + "/examples/inception_v3.smelt");
  const auto replace = [&](std::string_view from, std::string_view until, std::string_view by) {
    const size_t begin = text.find(from);
    REQUIRE(begin != std::string::npos);
    const size_t end = text.find(until, begin);
    REQUIRE(end != std::string::npos);
    text.replace(begin, end - begin, by);
  };
  replace("train = images(", "\n", "train = npy(\"x.npy\", \"y.npy\")");
  replace("= field(0) /", "\n", "= field(0)");
  replace("batch B = batch", "\n", "batch B = 2");
  replace("with rmsprop(", "\n", "with sgd(lr = rate)");
  replace("report main", "\n", "report seen = weighted(logits), seen_aux = weighted(aux)");
  return text + R"(
config rate = 1.0
fn weighted(logits: f32[B, Class]) = sum[n, k] logits[n, k] * cos(0.1 * (cast(k, f32) + 31 * cast(n, f32)))
export logits(x: f32[B, Chan, Side, Side]) -> f32[B, Class] {
  (logits, _aux) = net(x)
  logits
}
)";
}

/// Off by so much of `size`: a sum of logits whose signs differ is smaller than its roundings would have it.
void check_number(std::string_view what, double ours, double theirs, double size, double tolerance) {
  const double error = std::abs(ours - theirs) / size;
  MESSAGE(fmt::format("{}: {:.1e}", what, error));
  CHECK_MESSAGE(error <= tolerance, fmt::format("{} is {}, not {}", what, ours, theirs));
}

/// How far each gradient is off, in its norm and in five elements; an element relative to the largest one of its
/// gradient.
std::vector<std::pair<double, std::string>> errors_of(const TensorFile& before, const TensorFile& after,
                                                      const nlohmann::json& lines) {
  std::vector<std::pair<double, std::string>> errors;
  for (const nlohmann::json& line : lines) {
    const std::string path = line["path"];
    std::vector<double> gradient = before.values(path);
    const std::vector<double> moved = after.values(path);
    double squares = 0;
    for (size_t i = 0; i < gradient.size(); ++i) {
      gradient[i] = (gradient[i] - moved[i]) / kRate;
      squares += gradient[i] * gradient[i];
    }
    double error = std::abs(std::sqrt(squares) / line["norm"].get<double>() - 1);
    for (size_t i = 0; i < 5; ++i) {
      const double off = gradient[i * (gradient.size() - 1) / 4] - line["elements"][i].get<double>();
      error = std::max(error, std::abs(off) / line["largest"].get<double>());
    }
    errors.emplace_back(error, path);
  }
  std::ranges::sort(errors);
  return errors;
}

struct Tolerances {
  double loss, sums, logits, median, worst;  // the last two are those of gradients
};

void compare(const std::string& precision, DType dtype, const nlohmann::json& stored, const Tolerances& tolerances) {
  const std::string folder = work_folder("inception_" + precision);
  std::ofstream(folder + "model.smelt") << model_text();
  constexpr size_t kPixels = 2 * 3 * 299 * 299;
  write_array(folder + "x.npy", DType::F32, {2, 3, 299, 299}, to_float(uniform(kPicture, kPixels, 1.0)));
  write_array(folder + "y.npy", DType::I32, {2}, stored["labels"].get<std::vector<int32_t>>());
  write_weights(folder + "start.safetensors", stored["parameters"], dtype);
  const std::string train = fmt::format(
      "train model.smelt --precision {} --set p=0 --no-shuffle --init start.safetensors --partial --steps 1 ",
      precision);
  run_smelt(folder, train + fmt::format("--set rate={} -o moved", kRate));
  run_smelt(folder, train + "--set rate=1e-30 -o still");
  run_smelt(folder, "run still logits --input x=x.npy -o logits.npy");

  std::ifstream metrics(folder + "moved/metrics.jsonl");
  std::string line;
  REQUIRE(std::getline(metrics, line));
  const nlohmann::json step = nlohmann::json::parse(line);
  check_number("loss", step["loss"], stored["loss"], stored["loss"], tolerances.loss);
  for (const std::string seen : {"seen", "seen_aux"})
    check_number(seen, step["reports"][seen], stored[seen], stored[seen + "_norm"], tolerances.sums);

  const auto errors = errors_of(TensorFile(folder + "start.safetensors"),
                                TensorFile(folder + "moved/checkpoints/step-1.safetensors"), stored["parameters"]);
  const double median = errors[errors.size() / 2].first;
  const auto& [worst, path] = errors.back();
  const std::string message =
      fmt::format("{} gradients, off by {:.1e}, at worst by {:.1e} of {}", errors.size(), median, worst, path);
  MESSAGE(message);
  CHECK_MESSAGE((median <= tolerances.median && worst <= tolerances.worst), message);

  const std::vector<double> theirs = stored["evaluated"];
  std::vector<double> ours;
  const Result<NpyFile> logits = read_npy(folder + "logits.npy");
  REQUIRE(logits);
  const HostTensor& tensor = logits->tensor;
  const size_t size = tensor.dtype == DType::F64 ? 8 : 4;
  for (size_t i = 0; i < theirs.size(); ++i)
    ours.push_back(load_element(tensor.dtype, tensor.data.bytes().data() + 40 * i * size));
  check_parameter("logits in evaluation", ours, theirs, tolerances.logits);
  std::filesystem::remove_all(folder);  // half a gigabyte
}

TEST_CASE("inception_v3_agrees_with_torchvision_in_f64") {
  compare("f64", DType::F64, read_json(kStored + "inception.json"), {1e-9, 1e-9, 1e-9, 1e-9, 1e-9});
}
// Gradients in f32 are as far from those in f64 as torch's own are: rounding decides on which side of zero some of
// twenty million ReLUs stand. docs/results.md has the figures.
TEST_CASE("inception_v3_agrees_with_torchvision_in_f32") {
  const nlohmann::json stored = read_json(kStored + "inception.json");
  compare("f32", DType::F32, stored,
          {1e-5, 1e-4, 2e-3, 2 * stored["own_median"].get<double>(), 2 * stored["own_worst"].get<double>()});
}

}  // namespace
}  // namespace smelt::numeric
