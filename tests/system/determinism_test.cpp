// The same file, data, seed and CPU level give the same bits: on any number of threads, and after stopping and going
// on.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <thread>

#include "runtime/files/file.h"
#include "tests/system/run_command.h"

namespace smelt::test {
namespace {

std::vector<std::string> train_arguments(std::string_view model, const std::string& run, int threads, int steps) {
  return {"train",     example(model),
          "-o",        run,
          "--data",    "fashion=" + unpacked_data(),
          "--threads", fmt::format("{}", threads),
          "--steps",   fmt::format("{}", steps)};
}

void train(std::vector<std::string> arguments) {
  const CommandResult result = run_smelt(std::move(arguments));
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
}

std::string checkpoint(const std::string& run, int step) {
  return fmt::format("{}/checkpoints/step-{}.safetensors", run, step);
}

void check_model(std::string_view model) {
  if (skip_without_data()) return;
  const std::string work = fresh_directory(fmt::format("determinism-{}", model));
  const std::string one = work + "/one";
  train(train_arguments(model, one, 1, 200));
  const std::vector<std::string> logged = logged_values(one);
  CHECK(logged.size() >= 200);
  const std::string bytes = read_text_file(checkpoint(one, 200));
  for (const int threads : {2, 3, 8}) {
    const std::string run = fmt::format("{}/{}-threads", work, threads);
    train(train_arguments(model, run, threads, 200));
    CHECK_MESSAGE(difference(checkpoint(one, 200), checkpoint(run, 200)) == "", fmt::format("{} threads", threads));
    CHECK_MESSAGE(read_text_file(checkpoint(run, 200)) == bytes, fmt::format("{} threads: metadata differs", threads));
    CHECK(logged_values(run) == logged);
  }
  const std::string resumed = work + "/resumed";
  train(train_arguments(model, resumed, 2, 77));
  std::vector<std::string> go_on = train_arguments(model, resumed, 1, 200);
  go_on.emplace_back("--resume");
  train(go_on);
  CHECK(difference(checkpoint(one, 200), checkpoint(resumed, 200)) == "");
  CHECK(read_text_file(checkpoint(resumed, 200)) == bytes);
  CHECK(logged_values(resumed) == logged);
}

TEST_CASE("mlp: 200 steps are the same bits on 1, 2, 3, 8 threads and across a resume") { check_model("mlp"); }
TEST_CASE("vae: 200 steps are the same bits on 1, 2, 3, 8 threads and across a resume") { check_model("vae"); }
TEST_CASE("gan: 200 steps are the same bits on 1, 2, 3, 8 threads and across a resume") { check_model("gan"); }

TEST_CASE("a run is resumed with the passes that it began with") {
  if (skip_without_data()) return;
  const std::string run = fresh_directory("determinism-passes") + "/run";
  std::vector<std::string> arguments = train_arguments("mlp", run, 1, 5);
  arguments.insert(arguments.end(), {"--disable-pass", "fusion", "--disable-pass", "llvm"});
  train(arguments);
  std::vector<std::string> go_on = train_arguments("mlp", run, 1, 10);
  go_on.emplace_back("--resume");
  std::vector<std::string> other = go_on;
  other.insert(other.end(), {"--disable-pass", "llvm"});
  const CommandResult refused = run_smelt(other);
  CHECK(refused.exit_code == 3);
  CHECK_MESSAGE(refused.err.find("`--disable-pass`") != std::string::npos, refused.err);
  train(go_on);  // the run remembers them
}

TEST_CASE(
    "an object from the cache is the one that was compiled; several processes share the cache; damage is mended") {
  if (skip_without_data()) return;
  const std::string work = fresh_directory("determinism-cache");
  const CommandOptions cached{.environment = {"SMELT_CACHE_DIR=" + work + "/cache"}};
  const auto object_with = [&](const CommandOptions& options) {
    const CommandResult built = run_smelt({"build", example("softmax"), "-o", work + "/built", "--emit=obj"}, options);
    REQUIRE_MESSAGE(built.exit_code == 0, built.err);
    return read_text_file(work + "/built/softmax.o");
  };
  const std::string compiled = object_with({});
  std::vector<std::thread> processes;
  for (int p = 0; p < 3; ++p) {
    processes.emplace_back([&, p] {
      std::vector<std::string> arguments = train_arguments("softmax", fmt::format("{}/run-{}", work, p), 1, 5);
      const CommandResult result = run_smelt(arguments, cached);
      CHECK_MESSAGE(result.exit_code == 0, result.err);
    });
  }
  for (std::thread& process : processes) process.join();
  CHECK(object_with(cached) == compiled);
  const std::vector<std::string> entries = list_files(work + "/cache");
  CHECK(entries.size() == 2);  // the object, and what describes the program
  for (const std::string& name : entries) {
    const std::string entry = work + "/cache/" + name;
    std::string damaged = read_text_file(entry);
    damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
    write_text_file(entry, damaged);
    CHECK(object_with(cached) == compiled);
    CHECK(read_text_file(entry) != damaged);
  }
}

TEST_CASE("packed and unpacked data, and another working directory and locale, give the same bits") {
  if (skip_without_data()) return;
  const std::string work = fresh_directory("determinism-surroundings");
  train(train_arguments("softmax", work + "/plain", 1, 40));
  const CommandResult result = run_smelt(
      {"train", example("softmax"), "-o", "packed", "--steps", "40"},
      {.directory = work, .environment = {"LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8", "TZ=Asia/Tokyo", "COLUMNS=1"}});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  CHECK(read_text_file(checkpoint(work + "/plain", 40)) == read_text_file(checkpoint(work + "/packed", 40)));
  CHECK(logged_values(work + "/plain") == logged_values(work + "/packed"));
}

}  // namespace
}  // namespace smelt::test
