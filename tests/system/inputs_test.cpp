// What a run begins with: models that begin as a file says, and arrays of an .npz.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "frontend/examples_of_codes.h"
#include "runtime/files/npy.h"
#include "runtime/files/npz.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

namespace fs = std::filesystem;

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
  // Weights that PyTorch wrote have other names, and the message says who renames them.
  REQUIRE(write_safetensors(work + "/teacher.safetensors",
                            {{"fc.weight", DType::I32, {4, 4}, std::as_bytes(std::span(whole))}}, {}));
  for (const char* command :
       {"check m.smelt", "run m.smelt see --input x=x.npy -o t.npy --weights teacher.safetensors"})
    CHECK(says(smelt_in(work, command), "these are names of PyTorch; docs/cookbook.md has functions"));
  write_text_file(work + "/teacher.safetensors", good);
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
