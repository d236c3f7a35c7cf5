// Tables of which a step reads few rows: what is computed in those alone is what is computed in all of them.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "runtime/files/safetensors.h"
#include "tests/system/run_command.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

/// A step reads 24 of 400 rows, of the first 40, so that some of them are equal.
std::string model_of(std::string_view optimiser) {
  return fmt::format(R"(dim B <= 1, Row = 400, N = 4, M = 3, D = 5, Two = 2
layer Table(i: i32[Two, N, M]) -> f32[Two, N, M, D] {{
  param table: f32[Row, D] ~ Normal(0, 1)
  param scale: f32[D] ~ Normal(1, 0.1)
  table[i] * scale
}}
model net = Table
objective loss() updates net {{
  far ~ UniformInt(Row)[Two, N, M]
  mean(sqrt(1 + square(net(cast(floor(cast(far, f32) * 0.1), i32)) - 0.5)))
}}
train {{
  batch B = 1
  steps 30
  seed 3
  step loss with {}
}}
)",
                     optimiser);
}

/// The checkpoint behind the last step.
std::string train(const std::string& work, std::string_view run, std::string_view flags) {
  const CommandResult trained = smelt_in(work, fmt::format("train m.smelt -o {} --force {}", run, flags));
  REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
  return fmt::format("{}/{}/checkpoints/step-30.safetensors", work, run);
}

bool keeps_whole_gradient(const std::string& work, std::string_view optimiser) {
  write_text_file(work + "/m.smelt", model_of(optimiser));
  const CommandResult loops = smelt_in(work, "dump m.smelt --stage loops");
  REQUIRE_MESSAGE(loops.exit_code == 0, loops.err);
  return loops.out.find("temporary f32[400") != std::string::npos;
}

}  // namespace

TEST_CASE("few rows of a table get the bits that all rows would") {
  const std::string work = fresh_directory("tables");
  for (const std::string optimiser :
       {"sgd(lr = 0.1)", "adagrad(lr = 0.1)", "adagrad(lr = cosine(0.1, 0.01), weight_decay = 0.01)",
        "sgd(lr = 0.1, momentum = 0.9)", "adam(lr = 0.01)"}) {
    CAPTURE(optimiser);
    write_text_file(work + "/m.smelt", model_of(optimiser));
    const std::string whole = train(work, "whole", "--threads 1 --disable-pass touch_rows");
    CHECK(difference(train(work, "one", "--threads 1"), whole) == "");
    CHECK(difference(train(work, "three", "--threads 3"), whole) == "");
  }
}

TEST_CASE("no step of sgd or adagrad has the gradient of a whole table") {
  const std::string work = fresh_directory("tables_plan");
  CHECK_FALSE(keeps_whole_gradient(work, "sgd(lr = 0.1)"));
  CHECK_FALSE(keeps_whole_gradient(work, "adagrad(lr = 0.1, clip_norm = 1)"));
}

// A sum of the same numbers in another order.
TEST_CASE("a norm of few rows is that of the whole gradient") {
  const std::string work = fresh_directory("tables_norm");
  write_text_file(work + "/m.smelt", model_of("sgd(lr = 0.5, clip_norm = 0.05)"));
  const auto few = read_safetensors(train(work, "few", "--threads 2"));
  const auto whole = read_safetensors(train(work, "whole", "--threads 2 --disable-pass touch_rows"));
  REQUIRE((few && whole));
  const auto floats = [](const Safetensors& file) {
    const auto bytes = file.bytes(*file.find("net.table"));
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  };
  const std::vector<float> a = floats(*few), b = floats(*whole);
  REQUIRE((a.size() == 2000 && b.size() == 2000));
  float largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  CHECK(largest < 1e-6F);
}

}  // namespace smelt::test
