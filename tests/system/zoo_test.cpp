// Every file of examples/zoo trains for some steps and gets somewhere: a loss or a report of its log, the mean of the
// last 20 calls, passes a bound that the start is far from. docs/zoo.md has what whole trainings reach.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <sstream>

#include "tests/system/training_fixture.h"

namespace smelt::test {
namespace {

struct ZooFile {
  const char* name;
  const char* value;  // an objective's loss, or `objective.report`
  double bound;
  bool above = false;  // the value ends above the bound, else below
  int steps = 200;
  const char* from = nullptr;  // a model of its that begins as the file which a run of the zoo file of this name leaves
};

// On eight Gaussians in a ring, `good` is the share of samples near a mode.
constexpr ZooFile kDrawn[] = {
    {"lsgan", "g_loss.modes", 7, true, 400},
    {"nonsaturating", "g_loss.good", 0.3, true, 1800},
    {"hinge", "g_loss.modes", 7, true, 300},
    {"wgan_clip", "gen.modes", 7, true, 300},
    {"minimax", "g_loss.modes", 4, true, 600},
    {"dragan", "g_loss.modes", 7, true, 300},
    {"relativistic", "g_loss.good", 0.3, true, 1200},
    {"bigan", "ge_loss.modes", 5, true, 800},
    {"realnvp", "nll", 0.7},
    {"ddpm", "loss", 0.6},
    {"score_matching", "loss.error", 0.7},
    {"energy_cd", "loss.margin", 0.5, true},
    {"mixture_density", "nll", -0.3},
    {"maml", "meta", 3.5},
    {"pinn", "residual.error", 0.3},
};
constexpr ZooFile kFashion[] = {
    {"conditional_gan", "judge_loss", 0.7},
    {"acgan", "d_loss.real_acc", 0.7, true},
    {"infogan", "g_loss.information", 0.4, true},
    {"adversarial_autoencoder", "recon", 290},
    {"beta_vae", "neg_elbo", 350},
    {"conditional_vae", "neg_elbo", 310},
    {"iwae", "neg_elbo", 310},
    {"vae_annealed", "neg_elbo", 300},
    {"vq_vae", "loss.recon", 0.05},
    {"gumbel_vae", "neg_elbo", 330},
    {"denoising_ae", "loss", 0.045},
    {"distillation", "learn", 0.9},
    {"beta_tcvae", "neg_elbo", 350},
    {"cyclegan", "translators.cycles", 0.05, false, 60},
    {"eyes", "learn", 1.95, false, 100},
    {"style", "repaint", 1.5, false, 60, "eyes"},
};

/// The values of one name in the log of a run.
std::vector<double> logged(const std::string& run, std::string_view value) {
  const size_t dot = value.find('.');
  const std::string objective(value.substr(0, dot));
  std::ifstream file(run + "/metrics.jsonl");
  std::vector<double> values;
  for (std::string line; std::getline(file, line);) {
    const auto object = nlohmann::json::parse(line);
    if (object.value("objective", "") != objective) continue;
    const auto& number =
        dot == std::string_view::npos ? object["loss"] : object["reports"][std::string(value.substr(dot + 1))];
    if (number.is_number()) values.push_back(number.get<double>());
  }
  return values;
}

/// `--data NAME=DIR` for each data section of a file.
std::vector<std::string> data_flags(const std::string& file, const std::string& directory) {
  std::istringstream text(read_text_file(file));
  std::vector<std::string> flags;
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("data ")) continue;
    const std::string name = line.substr(5, line.find(' ', 5) - 5);
    flags.insert(flags.end(), {"--data", fmt::format("{}={}", name, directory)});
  }
  return flags;
}

/// The directory with what a model of `file` begins as, under the name that the file gives it.
std::string train_before(const ZooFile& file, const std::string& work, const std::string& data) {
  const std::string before = example(fmt::format("zoo/{}", file.from));
  std::vector<std::string> arguments = {"train", before, "-o", work + "/before", "--threads", "1", "--steps", "100"};
  const std::vector<std::string> flags = data_flags(before, data);
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  const CommandResult result = run_smelt(arguments);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  std::filesystem::copy(work + "/before/checkpoints/step-100.safetensors", work + "/step-600.safetensors");
  return work;
}

void check_gets_somewhere(const ZooFile& file, const std::string& data = "") {
  const std::string name = file.name;
  CAPTURE(name);
  const std::string work = fresh_directory(fmt::format("zoo-{}", file.name)), run = work + "/run";
  std::vector<std::string> arguments = {"train",     example(fmt::format("zoo/{}", file.name)),
                                        "-o",        run,
                                        "--threads", "1",
                                        "--steps",   fmt::format("{}", file.steps)};
  const std::vector<std::string> flags = data.empty() ? std::vector<std::string>() : data_flags(arguments[1], data);
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  if (file.from != nullptr)
    arguments.insert(arguments.end(), {"--data", fmt::format("{}={}", file.from, train_before(file, work, data))});
  const CommandResult result = run_smelt(arguments);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  CHECK_MESSAGE(result.err.find("warning") == std::string::npos, result.err);
  const std::vector<double> values = logged(run, file.value);
  REQUIRE(values.size() >= 40);
  const double first = std::accumulate(values.begin(), values.begin() + 5, 0.0) / 5;
  const double last = std::accumulate(values.end() - 20, values.end(), 0.0) / 20;
  MESSAGE(fmt::format("{} {}: {:.3f} at first, {:.3f} at last", file.name, file.value, first, last));
  CHECK((file.above ? last > file.bound : last < file.bound));
  CHECK((file.above ? first < file.bound : first > file.bound));
}

TEST_CASE("experiments of the zoo whose data are drawn get somewhere") {
  for (const ZooFile& file : kDrawn) check_gets_somewhere(file);
}

TEST_CASE("experiments of the zoo on Fashion-MNIST get somewhere") {
  if (skip_without_data()) return;
  for (const ZooFile& file : kFashion) check_gets_somewhere(file, unpacked_data());
}

TEST_CASE("every file of the zoo is tested and has a line in docs/zoo.md") {
  std::set<std::string> tested;
  for (const ZooFile& file : kDrawn) tested.insert(file.name);
  for (const ZooFile& file : kFashion) tested.insert(file.name);
  std::ifstream page(SMELT_SOURCE_DIR "/docs/zoo.md");
  const std::string text((std::istreambuf_iterator<char>(page)), {});
  for (const auto& entry : std::filesystem::directory_iterator(SMELT_SOURCE_DIR "/examples/zoo")) {
    const std::string name = entry.path().stem().string();
    CAPTURE(name);
    CHECK(tested.contains(name));
    CHECK(text.find(fmt::format("(../examples/zoo/{}.smelt)", name)) != std::string::npos);
  }
}

}  // namespace
}  // namespace smelt::test
