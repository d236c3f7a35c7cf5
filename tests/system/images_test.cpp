// A folder of pictures, from the model file to a picture that is written.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>

#include "tests/support/picture_files.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModel = R"(import std.nn (Conv2d, Dense)
dim B <= 4, Chan = 3, Side = 8, Class = 2
data pets {
  train, valid = images("pets/**/*.png", size = Side, fit = crop, label = folder) |> split(0.75)
  x: f32[Chan, Side, Side] in 0..1 = field(0) / 255
  y: ix<Class> = field(1)
}
layer Net(x: f32[B, Chan, Side, Side]) -> f32[B, Class] {
  x |> conv: Conv2d{4, k=3, stride=2, pad=1} |> relu |> flatten |> out: Dense{Class}
}
model net = Net
objective loss(x: f32[B, Chan, Side, Side], y: ix<Class>[B]) updates net { mean(softmax_xent(net(x), y, over=Class)) }
metric accuracy(x: f32[B, Chan, Side, Side], y: ix<Class>[B]) = mean(argmax(net(x), over=Class) == y)
const noise: f32[4, Chan, Side, Side] ~ Normal(0, 1)
train { data pets
  batch B = 4, shuffle
  epochs 4
  seed 3
  step loss with adam(lr = 0.02)
  every 1 epoch { eval valid: loss, accuracy
                  image grid(sigmoid(noise)) to "noise-{epoch}.png" }
}
export same(x: f32[B, Chan, Side, Side]) -> f32[B, Chan, Side, Side] = clamp(x, 0, 1)
export noisy(x: f32[B, Chan, Side, Side] ~ Normal(0, 1)) -> f32[B, Chan, Side, Side] = sigmoid(x)
)";

/// 12 red dogs and 12 blue cats of several sizes beside a model.
std::string picture_model(const std::string& name, std::string_view text = kModel) {
  const std::string work = fresh_directory(name);
  for (const char* pet : {"dog", "cat"}) {
    fs::create_directories(work + "/pets/" + pet);
    for (int i = 0; i < 12; ++i) {
      const auto bright = static_cast<uint8_t>(200 + i), dark = static_cast<uint8_t>(3 * i);
      const bool dog = std::string_view(pet) == "dog";
      write_text_file(fmt::format("{}/pets/{}/{}.png", work, pet, i),
                      plain_png(6 + i, 9, dog ? bright : dark, dark, dog ? dark : bright));
    }
  }
  write_text_file(work + "/m.smelt", text);
  return work;
}

TEST_CASE("a folder of pictures is trained on, and the bits do not depend on threads or stops") {
  const std::string work = picture_model("pictures-train");
  const CommandResult trained = smelt_in(work, "train m.smelt -o a --threads 1");
  REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
  CHECK(fs::exists(work + "/a/noise-4.png"));
  CHECK(read_text_file(work + "/a/noise-4.png")[25] == 2);  // red, green, blue
  REQUIRE(smelt_in(work, "train m.smelt -o b --threads 3 --steps 7").exit_code == 0);
  const CommandResult resumed = smelt_in(work, "train m.smelt -o b --threads 2 --resume");
  REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.err);
  CHECK(difference(work + "/a/checkpoints/step-20.safetensors", work + "/b/checkpoints/step-20.safetensors") == "");
  const CommandResult evaluated = smelt_in("/", fmt::format("eval {}/a", work));
  CHECK_MESSAGE(evaluated.exit_code == 0, evaluated.err);
  CHECK(has(evaluated.out, "accuracy"));
  // Data that changed since.
  for (int i = 0; i < 12; ++i) write_text_file(fmt::format("{}/pets/cat/{}.png", work, i), plain_png(9, 9, 1, 2, 3));
  const CommandResult changed = smelt_in(work, "train m.smelt -o b --resume --epochs 6");
  CHECK(changed.exit_code != 0);
  CHECK_MESSAGE(has(changed.err, "pets/**/*.png"), changed.err);
  write_text_file(work + "/pets/cat/99.png", plain_png(9, 9, 1, 2, 3));
  CHECK(smelt_in(work, "train m.smelt -o b --resume --epochs 6").exit_code != 0);
}

TEST_CASE("pictures that memory has no room for are kept in a file, and the bits are the same") {
  const std::string work = picture_model("pictures-file");
  REQUIRE(smelt_in(work, "train m.smelt -o a --threads 1").exit_code == 0);
  fs::create_directories(work + "/scratch");
  const std::string in_file = "--limit decoded=0";
  const CommandResult filed = smelt_in(work, "train m.smelt -o b " + in_file, {.environment = {"TMPDIR=scratch"}});
  REQUIRE_MESSAGE(filed.exit_code == 0, filed.err);
  CHECK_MESSAGE(has(filed.err, "they are kept in a file in `scratch`"), filed.err);
  CHECK(fs::is_empty(work + "/scratch"));
  CHECK(difference(work + "/a/checkpoints/step-20.safetensors", work + "/b/checkpoints/step-20.safetensors") == "");
  const CommandResult evaluated = smelt_in(work, "eval a"), from_file = smelt_in(work, "eval a " + in_file);
  CHECK_MESSAGE(from_file.exit_code == 0, from_file.err);
  CHECK(from_file.out == evaluated.out);
  const CommandResult nowhere = smelt_in(work, "check m.smelt --data " + in_file, {.environment = {"TMPDIR=none"}});
  CHECK(nowhere.exit_code == 4);
  CHECK_MESSAGE(has(nowhere.err, "cannot write `none/`: keep 18 pictures: No such file or directory"), nowhere.err);
  CHECK_MESSAGE(has(nowhere.err, "set TMPDIR"), nowhere.err);
}

TEST_CASE("check tells what a folder holds, and needs none of it for shapes") {
  const std::string work = picture_model("pictures-check");
  const CommandResult looked = smelt_in(work, "check m.smelt --data -o first.png");
  REQUIRE_MESSAGE(looked.exit_code == 0, looked.err);
  CHECK(has(looked.out, "split train: 18 rows of `pets/**/*.png`"));
  CHECK(has(looked.out, "split valid: 6 rows"));
  CHECK(has(looked.out, "field(0) u8[3, 8, 8]: 0 .. 211"));
  CHECK(has(looked.out, "field(1) i32: 2 classes: 0 cat"));
  CHECK(read_text_file(work + "/first.png").starts_with("\x89PNG"));
  CHECK(smelt_in(work, "check m.smelt --data -o first.png").exit_code == 4);
  CHECK(smelt_in(work, "check m.smelt --data -o first.png --force").exit_code == 0);
  CHECK(smelt_in(work, "check m.smelt -o first.png").exit_code == 2);
  const CommandResult json = smelt_in(work, "check m.smelt --data --json");
  CHECK(has(json.out, "\"classes\":[\"cat\",\"dog\"]"));
  fs::create_directories(work + "/elsewhere");
  fs::rename(work + "/pets", work + "/elsewhere/pets");
  const CommandResult without = smelt_in(work, "check m.smelt");
  CHECK_MESSAGE(without.exit_code == 0, without.err);
  CHECK(smelt_in(work, "build m.smelt -o out").exit_code == 0);
  CHECK(smelt_in(work, "check --data m.smelt").exit_code == 3);
  CHECK(smelt_in(work, "check m.smelt --data --data pets=elsewhere").exit_code == 0);
  CHECK(smelt_in(work, "train m.smelt --steps 2 --data pets=elsewhere -o c").exit_code == 0);
}

TEST_CASE("classes of a section are its own: those of another one number nothing") {
  const std::string work = picture_model("pictures-sections", R"(dim B <= 4, Side = 8, Pet = 2, Fish = 3
data pets {
  train = images("pets/*/*.png", size = Side, label = folder)
  x: f32[3, Side, Side] = field(0) / 255
  y: ix<Pet> = field(1)
}
data fishes {
  train = images("fish/*/*.png", size = Side, label = folder)
  valid = images("more/*/*.png", size = Side, label = folder)
  w: f32[3, Side, Side] = field(0) / 255
  z: ix<Fish> = field(1)
}
layer Net(x: f32[B, 3, Side, Side]) -> f32[B] {
  param s: f32 = ones()
  m[n] = sum[c, h, v] x[n, c, h, v]
  m * s
}
model net = Net
objective loss(x: f32[B, 3, Side, Side], y: ix<Pet>[B]) updates net { mean(net(x)) + mean(cast(y, f32)) }
metric labels(z: ix<Fish>[B]) = mean(cast(z, f32))
train {
  data pets
  data fishes
  batch B = 4
  steps 2
  step loss with sgd(lr = 1e-6)
}
)");
  for (const char* place : {"fish/cat", "fish/eel", "fish/pike", "more/eel", "more/pike"}) {
    fs::create_directories(work + "/" + place);
    for (int i = 0; i < 2; ++i)
      write_text_file(fmt::format("{}/{}/{}.png", work, place, i), plain_png(8, 8, 10, 20, 30));
  }
  const CommandResult train = smelt_in(work, "eval m.smelt labels --split train");
  CHECK_MESSAGE(has(train.out, " 1\n"), train.out, train.err);  // 0, 1 and 2
  const CommandResult valid = smelt_in(work, "eval m.smelt labels --split valid");
  CHECK_MESSAGE(has(valid.out, " 1.5\n"), valid.out, valid.err);  // 1 and 2, as in the first split
}

TEST_CASE("a run keeps the classes of its folders: data without one of them are numbered as it was trained") {
  const std::string work =
      picture_model("pictures-classes", replaced(replaced(kModel, "Class = 2", "Class = 3"), "metric accuracy",
                                                 "metric number(y: ix<Class>[B]) = mean(cast(y, f32))\n"
                                                 "metric accuracy"));
  fs::create_directories(work + "/pets/eel");
  for (int i = 0; i < 4; ++i) write_text_file(fmt::format("{}/pets/eel/{}.png", work, i), plain_png(8, 8, 10, 200, 30));
  REQUIRE(smelt_in(work, "train m.smelt -o run --epochs 1").exit_code == 0);
  fs::create_directories(work + "/other");
  fs::copy(work + "/pets", work + "/other/pets", fs::copy_options::recursive);
  fs::remove_all(work + "/other/pets/cat");
  fs::remove_all(work + "/other/pets/dog");
  const CommandResult eels = smelt_in(work, "eval run number --split train --data pets=other");
  CHECK_MESSAGE(has(eels.out, " 2\n"), eels.out, eels.err);
  CHECK_MESSAGE(has(smelt_in(work, "eval m.smelt number --split train --data pets=other").out, " 0\n"), eels.err);
  fs::rename(work + "/other/pets/eel", work + "/other/pets/ant");
  const CommandResult unknown = smelt_in(work, "eval run number --split train --data pets=other");
  CHECK(unknown.exit_code == 3);
  CHECK_MESSAGE(has(unknown.err, "is of class `ant`, which `run"), unknown.err);
  CHECK_MESSAGE(has(unknown.err, "its 3 classes are cat, dog, eel"), unknown.err);
}

TEST_CASE("a bad picture ends with its path and what is wrong") {
  const std::string work = picture_model("pictures-bad");
  const std::string good = read_text_file(work + "/pets/dog/3.png");
  const std::pair<std::string, const char*> cases[] = {{"", "pets/dog/3.png: the file is empty"},
                                                       {"GIF89a", "pets/dog/3.png: this is a GIF"},
                                                       {good.substr(0, 60), "pets/dog/3.png: damaged PNG"}};
  for (const auto& [bytes, message] : cases) {
    write_text_file(work + "/pets/dog/3.png", bytes);
    const CommandResult result = smelt_in(work, "check m.smelt --data");
    CHECK(result.exit_code == 3);
    CHECK_MESSAGE(has(result.err, message), result.err);
  }
  write_text_file(work + "/pets/dog/3.png", good);
  write_text_file(work + "/m.smelt", replaced(kModel, "Class = 2", "Class = 1"));
  CHECK(has(smelt_in(work, "train m.smelt -o a").err, "has 2 classes, `Class` is 1"));
}

TEST_CASE("exports of pictures in colour become grids") {
  const std::string work = picture_model("pictures-export");
  REQUIRE(smelt_in(work, "train m.smelt -o a --steps 2").exit_code == 0);
  const CommandResult sampled = smelt_in(work, "sample a noisy -n 9 -o s.png");
  CHECK_MESSAGE(sampled.exit_code == 0, sampled.err);
  write_floats(work + "/x.npy", std::vector<float>(2 * 3 * 8 * 8, 0.5f), {2, 3, 8, 8});
  const CommandResult ran = smelt_in(work, "run a same --input x=x.npy -o r.png");
  CHECK_MESSAGE(ran.exit_code == 0, ran.err);
  for (const char* file : {"/s.png", "/r.png"}) CHECK(read_text_file(work + file)[25] == 2);
}

}  // namespace
}  // namespace smelt::test
