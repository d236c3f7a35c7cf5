// Whole trainings of the examples end where PyTorch's do. Figures and how they were found: docs/results.md.
#include "tests/numeric/stored_results.h"

namespace smelt::numeric {
namespace {

/// The metrics of a run's last evaluation.
nlohmann::json train_example(const std::string& folder, const std::string& name, const std::string& flags) {
  run_smelt(folder, fmt::format("train '{}/examples/{}.smelt' {} -o run", SMELT_SOURCE_DIR, name, flags));
  std::ifstream file(folder + "run/metrics.jsonl");
  nlohmann::json metrics;
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json object = nlohmann::json::parse(line);
    if (object.contains("eval")) metrics = object["metrics"];
  }
  REQUIRE(!metrics.is_null());
  return metrics;
}

// PyTorch: 87.9 to 88.2 %
TEST_CASE("mlp_reaches_the_accuracy_of_pytorch") {
  double sum = 0;
  for (const int seed : {1, 2, 3}) {
    const std::string folder = work_folder(fmt::format("train_mlp_{}", seed));
    sum += train_example(folder, "mlp", fmt::format("--seed {}", seed))["acc"].get<double>();
  }
  MESSAGE(fmt::format("mean accuracy of three seeds {:.4f}", sum / 3));
  CHECK(sum / 3 >= 0.878);
}

// PyTorch: 244.3 nats
TEST_CASE("vae_reaches_the_bound_of_pytorch") {
  const double nats = train_example(work_folder("train_vae"), "vae", "")["neg_elbo"];
  MESSAGE(fmt::format("negative ELBO {:.2f} nats", nats));
  CHECK(nats <= 245);
}

}  // namespace
}  // namespace smelt::numeric
