// Values of the fields of a data section: constants beside rows, functions whose heads name the rows, draws.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "runtime/files/npy.h"
#include "tests/system/run_command.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

/// The report `s`, the sum of the field x over the rows 1, 2, 3, 4 and 5, 6, 7, 8.
std::string sum_of(const std::string& work, std::string_view field, std::string_view more = "") {
  write_text_file(work + "/p.csv", "1,2,3,4\n5,6,7,8\n");
  write_text_file(work + "/m.smelt", fmt::format(R"(import std.nn (Dense)
dim B <= 8, X = 4
const c: f32[X] = stack(1.0, 2.0, 3.0, 4.0, over=X)
const m: f32[2, 4] = reshape(stack(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0), [2, 4])
{}
data d {{
  train = csv("p.csv")
  x: f32[X] = {}
}}
layer Net(x: f32[N, X]) -> f32[N, X] {{ x |> Dense{{X}} }}
model net = Net
objective loss(x: f32[B, X]) updates net {{
  report s = sum(x), used = sum(c) + sum(m)
  mean(square(net(x)))
}}
train {{
  data d
  batch B = 2
  steps 1
  step loss with sgd(lr = 1e-9)
}}
)",
                                                 more, field));
  const CommandResult trained = smelt_in(work, "train m.smelt -o run --force");
  if (trained.exit_code != 0) return trained.err;
  const std::string log = read_text_file(work + "/run/metrics.jsonl");
  const size_t from = log.find("\"s\":") + 4;
  return log.substr(from, log.find(',', from) - from);
}

TEST_CASE("what has no rows is read as it is in a field: reductions, parts, axes and shapes of constants") {
  const std::string work = fresh_directory("field-constants");
  CHECK(sum_of(work, "row() + max(c)") == "68");
  CHECK(sum_of(work, "row() * sum(c)") == "360");
  CHECK(sum_of(work, "row() * mean(row())") == "194");
  CHECK(sum_of(work, "row() * sum(c[0 .. 2])") == "108");
  CHECK(sum_of(work, "row() + m[1]") == "88");
  CHECK(sum_of(work, "row() * m[1]") == "244");
  CHECK(sum_of(work, "row() * flip(c, axis=0)") == "80");
  CHECK(sum_of(work, "row() + sum(concat(c, c, axis=0))") == "196");
  CHECK(sum_of(work, "row() + sum(m)") == "324");
  CHECK(sum_of(work, "row() * reshape(m, [8])[2]") == "108");
  CHECK(sum_of(work, "row() * (sum[k] c[k])") == "360");
  CHECK(sum_of(work, "g(row())", "fn g(x) = x * max(c)") == "144");
}

TEST_CASE("a function whose head names the rows counts all axes, one that does not is of a row") {
  const std::string work = fresh_directory("field-heads");
  CHECK(sum_of(work, "g(row()) * c", "fn g(x: f32[N, K]) = flip(x, axis=1)") == "80");
  CHECK(sum_of(work, "g(row()) * c", "fn g(x) = flip(x, axis=0)") == "80");
  CHECK(sum_of(work, "g(row()) * c", "fn g(x: f32[...S]) = flip(x, axis=0)") == "80");
  CHECK(sum_of(work, "g(row())", "fn g(x: f32[N, K]) = x * sum(x, over=K)") == "776");
  CHECK(sum_of(work, "g(row())", "fn g(x: f32[N, K]) { y[n, k < 4] = x[n, 3 - k] * c[k]\n  y }") == "80");
  CHECK(sum_of(work, "h(row())", "fn g(x) { y[n, k] = x[n, k] * 2\n  y }\nfn h(x: f32[N, K]) = g(x)") == "72");
  CHECK(sum_of(work, "reshape(g(row()), [X])", "fn g(x: f32[N, K]) = reshape(x, [N, 2, 2])") == "36");
  CHECK(has(sum_of(work, "sum[k < 4] row()[k] * c", ""), "an index formula of one row in a data section"));
}

constexpr std::string_view kPictures = R"(import std.nn (Dense)
dim B <= 8, H = 6, W = 7, Ho = 4, Wo = 4
data d {
  train, valid = npy("x.npy") |> split(0.75)
  x: f32[1, H, W] = reshape(field(0), [1, H, W])
  part: f32[1, Ho, Wo] = random_crop(reshape(field(0), [1, H, W]), 4, 4)
  turned: f32[1, H, W] = random_flip(reshape(field(0), [1, H, W]))
  bright: f32[1, H, W] = random_brightness(reshape(field(0), [1, H, W]), 0.25)
}
layer Net(x: f32[N, 1, Ho, Wo]) -> f32[N, 1] { x |> flatten |> Dense{1} }
model net = Net
objective loss(x: f32[B, 1, H, W], part: f32[B, 1, Ho, Wo], turned: f32[B, 1, H, W], bright: f32[B, 1, H, W]) updates net {
  corner[n] = part[n, 0, 0, 0] - x[n, 0, 0, 0]
  torn[n, i < Ho, j < Wo] = abs(part[n, 0, i, j] - x[n, 0, i, j] - corner[n])
  left[n] = turned[n, 0, 0, 0] - x[n, 0, 0, 0]
  ratio[n] = bright[n, 0, 5, 6] / x[n, 0, 5, 6]
  report torn = max(torn), low = min(corner), high = max(corner), left = mean(left), dark = min(ratio), light = max(ratio)
  mean(square(net(part)))
}
train {
  data d
  batch B = 8, shuffle
  epochs 4
  seed 5
  step loss with sgd(lr = 1e-12)
  every 1 epoch { eval valid: loss; checkpoint keep 9 }
}
)";

TEST_CASE("augmentation is an expression of a field: drawn in training alone, with the same bits on any threads") {
  const std::string work = fresh_directory("field-augmentation");
  REQUIRE(write_npy(work + "/x.npy", counted(64, 42, 1)));
  write_text_file(work + "/m.smelt", kPictures);
  const CommandResult trained = smelt_in(work, "train m.smelt -o a --threads 1");
  REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
  const std::string log = read_text_file(work + "/a/metrics.jsonl");
  CHECK_FALSE(has(log, "\"torn\":1"));
  for (const char* drawn : {"\"torn\":0,", "\"low\":0,", "\"high\":17,"}) CHECK_MESSAGE(has(log, drawn), drawn);
  // Evaluation has the middle, and pictures as they are.
  CHECK(has(log, "\"loss.torn\":0,\"loss.low\":8,\"loss.high\":8,\"loss.left\":0,\"loss.dark\":1,\"loss.light\":1"));
  REQUIRE(smelt_in(work, "train m.smelt -o b --threads 3 --steps 7").exit_code == 0);
  const CommandResult resumed = smelt_in(work, "train m.smelt -o b --threads 2 --resume");
  REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.err);
  CHECK(difference(work + "/a/checkpoints/step-24.safetensors", work + "/b/checkpoints/step-24.safetensors") == "");
  const CommandResult checked = smelt_in(work, "gradcheck m.smelt");
  CHECK_MESSAGE(checked.exit_code == 0, checked.err);
}

TEST_CASE("columns become what a head asks for where no number is lost") {
  const std::string work = fresh_directory("field-columns");
  CHECK(sum_of(work, "g(row())", "fn g(x: f32[N, K]) = x * 2") == "72");
  const CommandResult checked = smelt_in(work, "check m.smelt --precision f64");
  CHECK_MESSAGE(checked.exit_code == 0, checked.err);
}

}  // namespace
}  // namespace smelt::test
