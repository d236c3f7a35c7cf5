// Several data sections side by side: their orders, their files, and what the log of their run says.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/files/npy.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

namespace fs = std::filesystem;

// 20 rows and 13: five batches an epoch, and three of which the fourth would not be full.
constexpr std::string_view kSections = R"(dim B <= 4
layer Net(x: f32[B]) -> f32[B] {
  param w: f32 = ones()
  w * x
}
model net = Net
data left {
  train = npy("left.npy")
  a: f32 = field(0)
}
data right {
  train = npy("right.npy")
  b: f32 = field(0)
}
objective loss(a: f32[B], b: f32[B]) updates net {
  report sum_a = sum(a), squares_a = sum(a ^ 2), sum_b = sum(b), largest_b = max(b)
  mean((net(a) - b) ^ 2) / 1000
}
objective of_left(a: f32[B]) updates net {
  report sum_a = sum(a)
  mean(net(a) ^ 2) / 1000
}
metric distance(a: f32[B], b: f32[B]) = mean(abs(a - b))
metric mean_a(a: f32[B]) = mean(a)
train {
  data left
  data right
  batch B = 4, shuffle
  epochs 6
  seed 3
  step loss with adam(lr = 1e-3)
  step of_left with adam(lr = 1e-3)
}
)";

void write_sections(const std::string& work, const std::string& text = std::string(kSections)) {
  write_text_file(work + "/m.smelt", text);
  HostTensor left = counted(20, 1, 1), right = counted(13, 1, 101);
  left.shape = {20};
  right.shape = {13};
  REQUIRE(write_npy(work + "/left.npy", left));
  REQUIRE(write_npy(work + "/right.npy", right));
}

/// A report of each line of `objective` in a run's log.
std::vector<double> reported(const std::string& run, const std::string& objective, const std::string& report) {
  std::istringstream log(read_text_file(run + "/metrics.jsonl"));
  std::vector<double> values;
  for (std::string line; std::getline(log, line);) {
    const nlohmann::json object = nlohmann::json::parse(line);
    if (object.value("objective", "") == objective) values.push_back(object["reports"][report].get<double>());
  }
  return values;
}

TEST_CASE("sections have orders of their own, and the first counts the epochs") {
  const std::string work = fresh_directory("sections");
  write_sections(work);
  const CommandResult trained = smelt_in(work, "train m.smelt -o a --threads 1");
  REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
  // Two calls of an iteration take a batch each: 6 epochs of 5 batches are 15 iterations.
  const std::vector<double> first = reported(work + "/a", "loss", "sum_a"),
                            second = reported(work + "/a", "of_left", "sum_a");
  const std::vector<double> right = reported(work + "/a", "loss", "sum_b");
  REQUIRE(first.size() == 15);
  REQUIRE(second.size() == 15);
  std::vector<double> batches;
  for (size_t i = 0; i < 15; ++i) batches.insert(batches.end(), {first[i], second[i]});
  for (size_t epoch = 0; epoch < 6; ++epoch) {
    double total = 0;
    for (size_t k = 0; k < 5; ++k) total += batches[5 * epoch + k];
    CHECK(total == 210);  // 1 + .. + 20: each row once
  }
  CHECK(std::vector(batches.begin(), batches.begin() + 5) != std::vector(batches.begin() + 5, batches.begin() + 10));
  // Four of the thirteen, at most 113 each: all batches are full, and not the same each time.
  for (const double sum : right) CHECK((sum >= 4 * 102.5 && sum <= 4 * 111.5));
  CHECK(std::ranges::count(right, right[0]) < 15);
  // Of the same position in the first rows another order: the sets are not paired.
  int paired = 0;
  for (size_t i = 0; i < 15; ++i) paired += right[i] - 400 == first[i];
  CHECK(paired < 5);

  const CommandResult evaluated = smelt_in(work, "eval a --split train distance mean_a");
  REQUIRE_MESSAGE(evaluated.exit_code == 0, evaluated.err);
  CHECK(evaluated.out.find("100") != std::string::npos);   // row i beside row i, 13 of them
  CHECK(evaluated.out.find("10.5") != std::string::npos);  // all 20 rows
}

TEST_CASE("a run of several sections goes on to the same bits, and notices other data in each") {
  const std::string work = fresh_directory("sections-resumed");
  write_sections(work);
  REQUIRE(smelt_in(work, "train m.smelt -o whole --threads 1").exit_code == 0);
  REQUIRE(smelt_in(work, "train m.smelt -o parts --threads 2 --steps 4").exit_code == 0);
  REQUIRE(smelt_in(work, "train m.smelt -o parts --threads 1 --resume --steps 11").exit_code == 0);
  const CommandResult behind = smelt_in(work, "train m.smelt -o parts --threads 1 --resume --steps 3");
  CHECK(behind.exit_code == 0);
  CHECK(behind.err.find("the run is at step 11 already, behind step 3: nothing is trained") != std::string::npos);
  CHECK(behind.out.starts_with("still at step 11; "));
  REQUIRE(smelt_in(work, "train m.smelt -o parts --threads 2 --resume").exit_code == 0);
  CHECK(difference(work + "/whole/checkpoints/step-15.safetensors", work + "/parts/checkpoints/step-15.safetensors") ==
        "");
  CHECK(logged_values(work + "/whole") == logged_values(work + "/parts"));

  REQUIRE(smelt_in(work, "train m.smelt -o other --threads 1 --steps 4").exit_code == 0);
  HostTensor right = counted(13, 1, 201);
  right.shape = {13};
  REQUIRE(write_npy(work + "/right.npy", right));
  const CommandResult changed = smelt_in(work, "train m.smelt -o other --resume");
  CHECK(changed.exit_code == 3);
  CHECK(says(changed, "the data of split `right.train` changed since"));
}

TEST_CASE("sections may call different files by one path; a run finds each again") {
  const std::string work = fresh_directory("sections-one-path");
  write_sections(work, replaced(replaced(kSections, "left.npy", "x.npy"), "right.npy", "x.npy"));
  for (const auto& [folder, file] : {std::pair{"/l", "/left.npy"}, {"/r", "/right.npy"}}) {
    fs::create_directories(work + folder);
    fs::rename(work + file, work + folder + "/x.npy");
  }
  REQUIRE(smelt_in(work, "train m.smelt -o a --steps 4 --data left=l --data right=r").exit_code == 0);
  const CommandResult evaluated = smelt_in("/", fmt::format("eval {}/a --split train distance", work));
  CHECK_MESSAGE(evaluated.out.find("100\n") != std::string::npos, evaluated.out, evaluated.err);
  const CommandResult resumed = smelt_in(work, "train m.smelt -o a --resume");
  CHECK_MESSAGE(resumed.exit_code == 0, resumed.err);
  // A record of an older version has no names of sections.
  std::string record = read_text_file(work + "/a/run.json");
  for (const char* section : {"left", "right"})
    record = replaced(record, fmt::format("\"section\": \"{}\"", section), "\"section\": \"\"");
  record = replaced(record, "/l/x.npy", "/r/x.npy");
  write_text_file(work + "/a/run.json", record);
  CHECK(smelt_in(work, "eval a --split train mean_a --data left=l").out.find("10.5\n") != std::string::npos);
  CHECK(smelt_in(work, "eval a --split train mean_a").exit_code == 0);
}

TEST_CASE("--data never makes one file of two") {
  const std::string work = fresh_directory("data-of-one-name");
  write_sections(work, replaced(kSections, "  train = npy(\"left.npy\")",
                                "  train = npy(\"t/left.npy\")\n  valid = npy(\"v/left.npy\")"));
  for (const char* folder : {"/t", "/v"}) {
    fs::create_directories(work + folder);
    fs::copy(work + "/left.npy", work + folder + "/left.npy");
  }
  CHECK(smelt_in(work, "check m.smelt").exit_code == 0);
  for (const char* command :
       {"check m.smelt --data left=.", "train m.smelt -o a --data left=.", "eval m.smelt mean_a --data left=."}) {
    const CommandResult refused = smelt_in(work, command);
    CHECK_MESSAGE(refused.exit_code == 3, refused.err);
    CHECK_MESSAGE(says(refused, "finds `left.npy` for `t/left.npy` and for `v/left.npy`"), refused.err);
  }
  CHECK(smelt_in(work, "check m.smelt --data right=.").exit_code == 0);
}

TEST_CASE("a log has one value under a name: each call of a layer has its reports") {
  const std::string work = fresh_directory("reports");
  write_small_model(
      work, replaced(replaced(replaced(kSmallModel, "{ x |> hid", "{ report mean_x = mean(x)\n  x |> hid"),
                              "{ mean(softmax_xent(net(x)",
                              "{ report grad_norm = 0.5 + 0 * mean(x)\n  mean(softmax_xent(net(x) + 0 * net(2 * x)"),
                     "adam(lr = 0.01)", "adam(lr = 0.01, clip_norm = 1)"));
  const CommandResult trained = smelt_in(work, "train m.smelt -o a");
  REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
  const std::vector<double> once = reported(work + "/a", "loss", "mean_x"),
                            twice = reported(work + "/a", "loss", "mean_x.2");
  REQUIRE(once.size() == 10);
  for (size_t i = 0; i < once.size(); ++i) CHECK(twice[i] == doctest::Approx(2 * once[i]).epsilon(1e-5));
  CHECK(reported(work + "/a", "loss", "grad_norm")[0] == 0.5);
  CHECK(reported(work + "/a", "loss", "grad_norm.2")[0] != 0.5);
}

TEST_CASE("a section with less than a batch is named") {
  const std::string work = fresh_directory("sections-small");
  write_sections(work);
  HostTensor right = counted(3, 1, 101);
  right.shape = {3};
  REQUIRE(write_npy(work + "/right.npy", right));
  const CommandResult few = smelt_in(work, "train m.smelt -o a");
  CHECK(few.exit_code == 3);
  CHECK(says(few, "`right.train` has 3 rows, fewer than one batch of 4"));
}

}  // namespace
}  // namespace smelt::test
