// What a run begins with: several data sections side by side, models that begin as a file says, and arrays of an .npz.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "frontend/examples_of_codes.h"
#include "runtime/files/npy.h"
#include "runtime/files/npz.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

namespace fs = std::filesystem;

bool says(const CommandResult& result, std::string_view text) { return result.err.find(text) != std::string::npos; }

HostTensor counted(int64_t rows, int64_t columns, float first) {
  HostTensor tensor = HostTensor::zeros(DType::F32, {rows, columns}).value();
  for (size_t i = 0; i < tensor.as<float>().size(); ++i) tensor.as<float>()[i] = first + static_cast<float>(i);
  return tensor;
}

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

constexpr std::string_view kTeacher = R"(import std.nn (Dense, BatchNorm)
dim B <= 8, X = 4
layer Net(x: f32[B, X]) -> f32[B, X] { x |> fc: Dense{X, act=tanh} |> norm: BatchNorm |> out: Dense{X} }
model teacher = Net
data d {
  train = npy("x.npy")
  x: f32[X] = field(0)
}
objective loss(x: f32[B, X]) updates teacher { mean((teacher(x) - x) ^ 2) }
train {
  data d
  batch B = 8
  steps 5
  seed 1
  step loss with adam(lr = 1e-2)
}
)";
constexpr std::string_view kStudent = R"(import std.nn (Dense, BatchNorm)
dim B <= 8, X = 4
layer Net(x: f32[B, X]) -> f32[B, X] { x |> fc: Dense{X, act=tanh} |> norm: BatchNorm |> out: Dense{X} }
model NAME = Net from "teacher.safetensors"
model student = Net
data d {
  train = npy("x.npy")
  x: f32[X] = field(0)
}
objective learn(x: f32[B, X]) updates student { mean((student(x) - NAME(x)) ^ 2) }
train {
  data d
  batch B = 8
  steps 5
  seed 2
  step learn with adam(lr = 1e-2)
}
export see(x: f32[B, X]) -> f32[B, X] = NAME(x)
)";

std::string named(std::string_view name) {
  std::string text(kStudent);
  for (size_t at = text.find("NAME"); at != std::string::npos; at = text.find("NAME")) text.replace(at, 4, name);
  return text;
}

/// A folder with data and the parameters of a net that was trained.
std::string teacher_folder(std::string_view name) {
  const std::string work = fresh_directory(name);
  REQUIRE(write_npy(work + "/x.npy", counted(8, 4, -1)));
  write_text_file(work + "/teacher.smelt", kTeacher);
  REQUIRE(smelt_in(work, "train teacher.smelt -o run --threads 1").exit_code == 0);
  fs::copy(work + "/run/checkpoints/step-5.safetensors", work + "/teacher.safetensors");
  write_text_file(work + "/m.smelt", named("teacher"));
  return work;
}

TEST_CASE("a model begins as a file says, stays so, and the run needs the file no more") {
  const std::string work = teacher_folder("pretrained");
  const CommandResult checked = smelt_in(work, "check m.smelt");
  REQUIRE_MESSAGE(checked.exit_code == 0, checked.err);
  CHECK(checked.err == "");  // no lint of a net that nothing updates
  REQUIRE(smelt_in(work, "run m.smelt see --input x=x.npy -o fresh.npy").exit_code == 0);
  REQUIRE(smelt_in(work, "train m.smelt -o whole --threads 1").exit_code == 0);
  REQUIRE(smelt_in(work, "train m.smelt -o parts --threads 1 --steps 2").exit_code == 0);
  // The tensors of the teacher, its statistics among them, are those of the file.
  const std::string student = work + "/whole/checkpoints/step-5.safetensors";
  const auto given = read_safetensors(work + "/teacher.safetensors"), kept = read_safetensors(student);
  REQUIRE((given && kept));
  int compared = 0;
  for (const StoredTensor& tensor : given->tensors) {
    if (!tensor.name.starts_with("teacher.")) continue;
    const StoredTensor* same = kept->find(tensor.name);
    REQUIRE_MESSAGE(same != nullptr, tensor.name);
    CHECK(std::ranges::equal(given->bytes(tensor), kept->bytes(*same)));
    ++compared;
  }
  CHECK(compared == 8);
  fs::remove(work + "/teacher.safetensors");
  REQUIRE(smelt_in(work, "train m.smelt -o parts --threads 1 --resume").exit_code == 0);
  CHECK(difference(student, work + "/parts/checkpoints/step-5.safetensors") == "");
  REQUIRE(smelt_in(work, "run whole see --input x=x.npy -o run.npy").exit_code == 0);
  CHECK(read_text_file(work + "/fresh.npy") == read_text_file(work + "/run.npy"));
  const CommandResult gone = smelt_in(work, "train m.smelt -o again");
  CHECK(gone.exit_code == 3);
  CHECK(says(gone, "cannot find `teacher.safetensors`"));
  CHECK(says(gone, "--data teacher=DIR"));
  fs::create_directories(work + "/elsewhere");
  fs::copy(work + "/run/checkpoints/step-5.safetensors", work + "/elsewhere/teacher.safetensors");
  CHECK(smelt_in(work, "train m.smelt -o again --data teacher=elsewhere --steps 1").exit_code == 0);
}

TEST_CASE("a file of another model name, element type or shape is taken, converted or refused") {
  const std::string work = teacher_folder("pretrained-names");
  write_text_file(work + "/eyes.smelt", named("eyes"));  // the file has `teacher.fc.W`
  REQUIRE(smelt_in(work, "run m.smelt see --input x=x.npy -o a.npy").exit_code == 0);
  REQUIRE(smelt_in(work, "run eyes.smelt see --input x=x.npy -o b.npy").exit_code == 0);
  CHECK(read_text_file(work + "/a.npy") == read_text_file(work + "/b.npy"));
  const CommandResult wide = smelt_in(work, "run m.smelt see --precision f64 --input x=x.npy -o c.npy");
  CHECK_MESSAGE(wide.exit_code == 0, wide.err);

  write_text_file(work + "/wider.smelt",
                  replaced(named("teacher"), "x |> fc: Dense{X, act=tanh}", "x |> fc: Dense{6, act=tanh}"));
  const CommandResult shape = smelt_in(work, "check wider.smelt");
  CHECK(shape.exit_code == 3);
  CHECK(says(shape, "error[E0802]"));
  CHECK(says(shape, "`teacher.fc.W` is f32[4, 4] in the file and f32[4, 6] in model `teacher`"));
  const std::vector<int32_t> whole(16, 1);
  const std::string good = read_text_file(work + "/teacher.safetensors");
  REQUIRE(write_safetensors(work + "/teacher.safetensors",
                            {{"fc.W", DType::I32, {4, 4}, std::as_bytes(std::span(whole))},
                             {"fc.b", DType::I32, {4}, std::as_bytes(std::span(whole).first(4))},
                             {"norm.scale", DType::I32, {4}, std::as_bytes(std::span(whole).first(4))},
                             {"norm.shift", DType::I32, {4}, std::as_bytes(std::span(whole).first(4))},
                             {"norm.mean", DType::I32, {4}, std::as_bytes(std::span(whole).first(4))},
                             {"norm.var", DType::I32, {4}, std::as_bytes(std::span(whole).first(4))},
                             {"out.W", DType::I32, {4, 4}, std::as_bytes(std::span(whole))},
                             {"out.b", DType::I32, {4}, std::as_bytes(std::span(whole).first(4))}},
                            {}));
  CHECK(says(smelt_in(work, "check m.smelt"), "save the others as floats"));
  write_text_file(work + "/teacher.safetensors", good);
  write_text_file(work + "/label.smelt", replaced(named("teacher"), "out: Dense{X}", "last: Dense{X}"));
  const CommandResult label = smelt_in(work, "check label.smelt");
  CHECK(label.exit_code == 3);
  CHECK(says(label, "lacks 2 of the 8 tensors of model `teacher`: `last.W`, `last.b`"));
  CHECK(says(label, "`teacher.fc.W` f32[4, 4]"));
  // A student that was trained beside it fits as well: the name has to say which.
  REQUIRE(smelt_in(work, "train m.smelt -o both --threads 1").exit_code == 0);
  fs::remove(work + "/teacher.safetensors");
  fs::copy(work + "/both/checkpoints/step-5.safetensors", work + "/teacher.safetensors");
  CHECK(smelt_in(work, "check m.smelt").exit_code == 0);
  const CommandResult two = smelt_in(work, "check eyes.smelt");
  CHECK(two.exit_code == 3);
  CHECK(says(two, "`student` and `teacher` fit model `eyes`"));
  write_text_file(work + "/teacher.safetensors", "no such file");
  CHECK(smelt_in(work, "check m.smelt").exit_code == 3);
}

TEST_CASE("an average begins where its net begins, also where a file says that") {
  const std::string work = teacher_folder("averages");
  const auto same = [&](const std::string& model, const std::string& flags) {
    for (const char* name : {"see", "seen"}) {
      const CommandResult run =
          smelt_in(work, fmt::format("run {} {} --input x=x.npy -o {}.npy --force {}", model, name, name, flags));
      REQUIRE_MESSAGE(run.exit_code == 0, run.err);
    }
    CHECK(read_text_file(work + "/see.npy") == read_text_file(work + "/seen.npy"));
  };
  const std::string pretrained =
      replaced(named("teacher"), "  step learn", "  ema slow = teacher decay 0.9\n  step learn") +
      "export seen(x: f32[B, X]) -> f32[B, X] = slow(x)\n";
  write_text_file(work + "/m.smelt", pretrained);
  same("m.smelt", "");
  write_text_file(work + "/plain.smelt", replaced(pretrained, " from \"teacher.safetensors\"", ""));
  same("plain.smelt", "");
  // A file of another program, or of a run without `ema`, has no averages.
  same("plain.smelt", "--partial --weights teacher.safetensors");
  write_text_file(work + "/one.smelt",
                  replaced(kTeacher, "  step loss", "  ema slow = teacher decay 0.9\n  step loss") +
                      "export see(x: f32[B, X]) -> f32[B, X] = teacher(x)\n"
                      "export seen(x: f32[B, X]) -> f32[B, X] = slow(x)\n");
  same("one.smelt", "--weights teacher.safetensors");
  const CommandResult begun = smelt_in(work, "train one.smelt -o new --init teacher.safetensors --steps 1");
  CHECK_MESSAGE(begun.exit_code == 0, begun.err);
  CHECK_MESSAGE(says(begun, "note: averages that the file lacks begin as their nets: `slow.fc.W` and 5 more"),
                begun.err);
  same("one.smelt", "--weights new");
}

TEST_CASE("arrays of an .npz are read, packed or not, and results are written as one") {
  const std::string work = fresh_directory("npz");
  const HostTensor x = counted(8, 4, -1), y = counted(8, 2, 3);
  const NamedArray arrays[] = {{"x", x}, {"y", y}};
  REQUIRE(write_npz(work + "/d.npz", arrays));
  REQUIRE(write_npy(work + "/x.npy", x));
  write_text_file(work + "/m.smelt", R"(import std.nn (Dense)
dim B <= 8, X = 4, Y = 2
layer Net(x: f32[B, X]) -> f32[B, Y] { x |> fc: Dense{Y} }
model net = Net
data d {
  train = npz("d.npz/x", "d.npz/y")
  x: f32[X] = field(0)
  y: f32[Y] = field(1)
}
objective loss(x: f32[B, X], y: f32[B, Y]) updates net { mean((net(x) - y) ^ 2) }
metric y_sum(y: f32[B, Y]) = mean(sum(y, over=Y))
train {
  data d
  batch B = 8
  steps 5
  seed 2
  step loss with adam(lr = 1e-2)
}
export both(x: f32[B, X]) -> (f32[B, Y], f32[B]) {
  y = net(x)
  (y, sum(x, over=X))
}
)");
  REQUIRE(smelt_in(work, "train m.smelt -o a --threads 1").exit_code == 0);
  const CommandResult evaluated = smelt_in(work, "eval a --split train y_sum");
  CHECK_MESSAGE(evaluated.out.find("21") != std::string::npos, evaluated.out << evaluated.err);  // 2 * (3 + 18) / 2

  const CommandResult run = smelt_in(work, "run a both --input x=x.npy -o out.npz");
  REQUIRE_MESSAGE(run.exit_code == 0, run.err);
  CHECK(smelt_in(work, "run a both --input x=x.npy -o out.npz").exit_code == 4);  // it exists
  REQUIRE(smelt_in(work, "run a both --input x=x.npy -o out.npy").exit_code == 0);
  for (const char* k : {"0", "1"}) {
    const auto single = read_npy(work + "/out." + k + ".npy");
    REQUIRE(single);
    const auto of_archive = read_npz(work + "/out.npz/both" + k);
    REQUIRE_MESSAGE(of_archive, message_of(of_archive));
    CHECK(of_archive->tensor.shape == single->tensor.shape);
    CHECK(std::ranges::equal(of_archive->tensor.as<float>(), single->tensor.as<float>()));
  }
}

// numpy.savez_compressed of x = 8 rows of 0, 1, 2, 3, in hexadecimal.
constexpr std::string_view kPacked =
    "504b03042d0000000800000021009876db85ffffffffffffffff05001400782e6e7079010010000001000000000000520000"
    "00000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9366a2aea3a09e965f54529498179f5f94920a12774bcc"
    "294e058a17672416a402f91a163a0a269a3a0ab50a64032e063068b007120e40e4406f3e00504b01022d032d000000080000"
    "0021009876db855200000000010000050000000000000000000000800100000000782e6e7079504b05060000000001000100"
    "33000000890000000000";

std::string packed_archive() {
  std::string bytes;
  for (size_t i = 0; i < kPacked.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(kPacked.substr(i, 2)), nullptr, 16));
  return bytes;
}

TEST_CASE("what numpy has packed is unpacked, and damage to it is found") {
  const std::string work = fresh_directory("npz-packed"), good = packed_archive();
  write_text_file(work + "/t.npz", good);
  const auto read = read_npz(work + "/t.npz/x");
  REQUIRE_MESSAGE(read, message_of(read));
  CHECK(read->tensor.shape == std::vector<int64_t>{8, 4});
  for (size_t i = 0; i < 32; ++i) CHECK(read->tensor.as<float>()[i] == static_cast<float>(i % 4));
  for (size_t at = 0; at < good.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      write_text_file(work + "/bad.npz", bad);
      const auto again = read_npz(work + "/bad.npz/x");
      CHECK((!again || std::ranges::equal(again->tensor.as<float>(), read->tensor.as<float>())));
    }
  }
}

TEST_CASE("a path that names no array, or a damaged archive, is refused with what there is") {
  const std::string work = fresh_directory("npz-refused");
  const HostTensor x = counted(8, 4, -1);
  const NamedArray arrays[] = {{"images", x}};
  REQUIRE(write_npz(work + "/d.npz", arrays));
  CHECK(message_of(read_npz(work + "/d.npz/image")).find("has no array `image`") != std::string::npos);
  CHECK(read_npz(work + "/d.npz/image").error().help == "did you mean `images`?");
  CHECK(read_npz(work + "/d.npz").error().help.find("as in `npz(\"d.npz/images\")`; it has `images`") !=
        std::string::npos);
  const std::string good = read_text_file(work + "/d.npz");
  int silent = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    write_text_file(work + "/bad.npz", bad);
    const auto read = read_npz(work + "/bad.npz/images");
    if (read && !std::ranges::equal(read->tensor.as<float>(), x.as<float>())) ++silent;
  }
  CHECK(silent == 0);
  for (size_t size = 0; size < good.size(); size += 7) {
    write_text_file(work + "/bad.npz", good.substr(0, size));
    CHECK(!read_npz(work + "/bad.npz/images"));
  }
}

TEST_CASE("what `smelt explain` says of models that run is what they say") {
  const std::string work = fresh_directory("explained");
  std::vector<TensorToStore> tensors;
  const HostTensor matrix = counted(4, 4, 0);
  for (const char* layer : {"fc", "out"}) {
    tensors.push_back({fmt::format("teacher.{}.W", layer), DType::F32, {4, 4}, matrix.data.bytes()});
    tensors.push_back({fmt::format("teacher.{}.b", layer), DType::F32, {4}, matrix.data.bytes().first(16)});
  }
  REQUIRE(write_safetensors(work + "/teacher.safetensors", tensors, {}));
  const std::pair<const char*, const char*> commands[] = {{"E0801", "train wrong.smelt -o run"},
                                                          {"E0802", "check wrong.smelt"}};
  for (const auto& [code, command] : commands) {
    const std::optional<CodeExample> example = example_of(code);
    REQUIRE(example);
    write_text_file(work + "/wrong.smelt", example->wrong);
    const CommandResult result = smelt_in(work, command);
    CHECK_MESSAGE(says(result, example->messages), result.err);
    write_text_file(work + "/wrong.smelt", example->right);
    const CommandResult right = smelt_in(work, std::string(command) + (code == std::string("E0801") ? "2" : ""));
    CHECK_MESSAGE(right.exit_code == 0, right.err);
  }
}

}  // namespace
}  // namespace smelt::test
