// `precision bf16`: training reaches what f32 reaches, with the same bits on any number of threads and across a resume.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "runtime/files/npy.h"
#include "runtime/host_tensor.h"
#include "tests/system/run_command.h"
#include "tests/system/training_fixture.h"

namespace smelt::test {
namespace {

std::vector<std::string> arguments(std::string_view model, const std::string& run, int threads, int steps,
                                   std::string_view precision) {
  return {"train",       example(model),
          "-o",          run,
          "--data",      "fashion=" + unpacked_data(),
          "--threads",   fmt::format("{}", threads),
          "--steps",     fmt::format("{}", steps),
          "--precision", std::string(precision)};
}

void train(const std::vector<std::string>& command) {
  const CommandResult result = run_smelt(command);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
}

std::string checkpoint(const std::string& run, int step) {
  return fmt::format("{}/checkpoints/step-{}.safetensors", run, step);
}

/// What the last evaluation says of `name`. An epoch ends at the learning rate 0: losses on the way there move by
/// percents when anything is rounded in another way.
double evaluated(const std::string& run, std::string_view name) {
  const std::string log = read_text_file(run + "/metrics.jsonl");
  const size_t line = log.rfind("\"eval\":");
  REQUIRE(line != std::string::npos);
  const std::string key = fmt::format("\"{}\":", name);
  const size_t at = log.find(key, line);
  REQUIRE(at != std::string::npos);
  return std::strtod(log.c_str() + at + key.size(), nullptr);
}

void check_training(std::string_view model, std::string_view metric) {
  if (unpacked_data().empty()) return;
  const std::string work = fresh_directory(fmt::format("precision-{}", model));
  for (const std::string_view precision : {"f32", "bf16"}) {
    train({"train", example(model), "-o", fmt::format("{}/{}", work, precision), "--data", "fashion=" + unpacked_data(),
           "--threads", "2", "--epochs", "1", "--precision", std::string(precision)});
  }
  const double wide = evaluated(work + "/f32", metric), narrow = evaluated(work + "/bf16", metric);
  CHECK_MESSAGE(std::abs(narrow / wide - 1) < 0.01,
                fmt::format("{} {}: {} in bf16, {} in f32", model, metric, narrow, wide));
  CHECK(narrow != wide);
}

}  // namespace

TEST_CASE("mlp after an epoch in bf16 is within 1 % of its accuracy in f32") { check_training("mlp", "acc"); }
TEST_CASE("vae after an epoch in bf16 is within 1 % of its bound in f32") { check_training("vae", "neg_elbo"); }

TEST_CASE("bf16: the same bits on 1 to 3 threads and across a resume; another precision cannot resume") {
  if (unpacked_data().empty()) return;
  const std::string work = fresh_directory("precision-bits");
  train(arguments("mlp", work + "/one", 1, 60, "bf16"));
  const std::string bytes = read_text_file(checkpoint(work + "/one", 60));
  for (const int threads : {2, 3}) {
    const std::string run = fmt::format("{}/{}", work, threads);
    train(arguments("mlp", run, threads, 60, "bf16"));
    CHECK(read_text_file(checkpoint(run, 60)) == bytes);
  }
  train(arguments("mlp", work + "/resumed", 2, 23, "bf16"));
  std::vector<std::string> go_on = arguments("mlp", work + "/resumed", 1, 60, "bf16");
  go_on.emplace_back("--resume");
  std::vector<std::string> other = go_on;
  other[11] = "f32";
  const CommandResult refused = run_smelt(other);
  CHECK(refused.exit_code == 3);
  CHECK(refused.err.find("precision") != std::string::npos);
  train(go_on);
  CHECK(read_text_file(checkpoint(work + "/resumed", 60)) == bytes);
}

TEST_CASE("bf16: variables are f32, and temporaries of a step are fewer bytes") {
  const std::unique_ptr<Training> wide = start_training("vae", DType::F32), narrow = start_training("vae", DType::BF16);
  if (!wide) return;
  CHECK(narrow->program().variables_end == wide->program().variables_end);
  for (const auto& variable : narrow->program().variables) CHECK(variable.type.dtype == DType::F32);
  const auto temporaries = [](const Training& training) {
    return training.program().arena_bytes - training.program().variables_end;
  };
  CHECK(temporaries(*narrow) < temporaries(*wide));
}

TEST_CASE("a precision of the file counts unless the command line gives one; others are errors that say what to do") {
  const std::string work = fresh_directory("precision-file");
  const auto model = [&](std::string_view precision) {
    std::string text = read_text_file(example("softmax"));
    const size_t at = text.find("  step loss");
    REQUIRE(at != std::string::npos);
    text.insert(at, fmt::format("  precision {}\n", precision));
    const std::string path = fmt::format("{}/{}.smelt", work, precision);
    write_text_file(path, text);
    return path;
  };
  const std::string bf16 = model("bf16");
  CHECK(run_smelt({"check", bf16}).exit_code == 0);
  const auto loops = [](std::vector<std::string> command) { return run_smelt(std::move(command)).out; };
  CHECK(loops({"dump", bf16, "--stage", "memory"}).find("bf16[") != std::string::npos);
  CHECK(loops({"dump", bf16, "--stage", "memory", "--precision", "f32"}).find("bf16[") == std::string::npos);
  const CommandResult f16 = run_smelt({"check", model("f16")});
  CHECK(f16.exit_code == 1);
  CHECK(f16.err.find("needs loss scaling") != std::string::npos);
  CHECK(f16.err.find("precision bf16") != std::string::npos);
  CHECK(run_smelt({"check", model("bf17")}).err.find("`precision bf16`") != std::string::npos);
  CHECK(run_smelt({"check", bf16, "--precision", "f16"}).exit_code == 1);
}

}  // namespace smelt::test

namespace smelt::test {

TEST_CASE("exports take and give f16 and bf16, a cast has a derivative, and the header names the bits") {
  const std::string work = fresh_directory("precision-types");
  const std::string model = work + "/types.smelt";
  write_text_file(model, R"(import std.nn (Dense)
dim B <= 8, X = 3
model net = Dense{2}
export logits(x: f32[B, X]) -> f32[B, 2] = net(x)
export double_it(x: bf16[B, X]) -> bf16[B, X] = x + x
export total(x: f16[B, X]) -> f32[B] = cast(sum(x, over=X), f32)
export slope(x: f32[B, X]) -> f32[B, X] = grad(sum(cast(cast(x, bf16), f32) ^ 2), wrt=x)
)");
  HostTensor x = *HostTensor::zeros(DType::F32, {2, 3});
  const std::vector<float> numbers = {1.0F, 1.00390625F, -3.01F, 0.1F, 65504.0F, 1e-3F};
  std::ranges::copy(numbers, x.as<float>().begin());
  REQUIRE(write_npy(work + "/x.npy", x));
  const auto run = [&](const std::string& name) {
    const CommandResult result =
        run_smelt({"run", model, name, "--input", "x=" + work + "/x.npy", "-o", fmt::format("{}/{}.npy", work, name)});
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    Result<NpyFile> file = read_npy(fmt::format("{}/{}.npy", work, name));
    REQUIRE(file);
    return std::move(file->tensor);
  };
  const auto rounded = [](float value) { return bfloat16_to_float(float_to_bfloat16(value)); };
  const HostTensor doubled = run("double_it"), slope = run("slope"), total = run("total");
  REQUIRE((doubled.dtype == DType::F32 && doubled.shape == x.shape));
  for (size_t i = 0; i < numbers.size(); ++i) {
    CHECK(doubled.as<float>()[i] == 2 * rounded(numbers[i]));
    CHECK(slope.as<float>()[i] == 2 * rounded(numbers[i]));
  }
  const auto half = [](float value) { return half_to_float(float_to_half(value)); };
  CHECK(total.as<float>()[0] == half(half(numbers[0]) + half(numbers[1]) + half(numbers[2])));
  const CommandResult built = run_smelt({"build", model, "-o", work, "--emit=obj,header"});
  REQUIRE_MESSAGE(built.exit_code == 0, built.err);
  CHECK(read_text_file(work + "/types.h").find("uint16_t") != std::string::npos);
}

}  // namespace smelt::test
