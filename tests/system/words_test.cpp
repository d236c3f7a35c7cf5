// Labels that are words in a CSV column, from the data to a run that goes on.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "runtime/files/npy.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModel = R"(import std.nn (Dense)
dim B <= 8, Feature = 2, Class = 3
data flowers {
  train = csv("train.csv")
  valid = csv("valid.csv")
  x: f32[Feature] = row()[0 .. 2]
  y: ix<Class> = field(2)
}
layer Net(x: f32[B, Feature]) -> f32[B, Class] { x |> out: Dense{Class} }
model net = Net
objective loss(x: f32[B, Feature], y: ix<Class>[B]) updates net { mean(softmax_xent(net(x), y, over=Class)) }
metric accuracy(x: f32[B, Feature], y: ix<Class>[B]) = mean(argmax(net(x), over=Class) == y)
train { data flowers
  batch B = 8, shuffle
  epochs 20
  seed 3
  step loss with adam(lr = 0.1)
  every 20 epochs { eval valid: loss, accuracy }
}
export kind(x: f32[B, Feature]) -> ix<Class>[B] = argmax(net(x), over=Class)
)";

/// 24 flowers of three kinds, each around a place of its own.
std::string flowers(const std::array<const char*, 3>& names) {
  std::string text = "length,width,kind\n";
  for (int i = 0; i < 24; ++i)
    text +=
        fmt::format("{},{},{}\n", i % 3 == 0 ? 3 : 0, i % 3 == 1 ? 3 + i % 2 : 0, names[static_cast<size_t>(i % 3)]);
  return text;
}

std::string flower_model(const std::string& name) {
  const std::string work = fresh_directory(name);
  write_text_file(work + "/m.smelt", kModel);
  write_text_file(work + "/train.csv", flowers({"virginica", "setosa", "iris"}));
  write_text_file(work + "/valid.csv", "a,b,kind\n3,0,virginica\n0,3,setosa\n0,4,\"setosa\"\n");
  return work;
}

TEST_CASE("words are labels: trained on, resumed, evaluated, and counted by check") {
  const std::string work = flower_model("words-train");
  const CommandResult looked = smelt_in(work, "check m.smelt --data");
  REQUIRE_MESSAGE(looked.exit_code == 0, looked.err);
  CHECK_MESSAGE(has(looked.out, "field(2) f32: 3 classes: 0 iris 8, 1 setosa 8, 2 virginica 8"), looked.out);
  CHECK_MESSAGE(has(looked.out, "field(2) f32: 3 classes: 0 iris 0, 1 setosa 2, 2 virginica 1"), looked.out);
  CHECK(has(smelt_in(work, "check m.smelt --data --json").out, R"("classes":["iris","setosa","virginica"])"));
  const CommandResult trained = smelt_in(work, "train m.smelt -o a");
  REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
  REQUIRE(smelt_in(work, "train m.smelt -o b --steps 7").exit_code == 0);
  const CommandResult resumed = smelt_in(work, "train m.smelt -o b --resume");
  REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.err);
  CHECK(difference(work + "/a/checkpoints/step-60.safetensors", work + "/b/checkpoints/step-60.safetensors") == "");
  CHECK(has(read_text_file(work + "/a/checkpoints/step-60.safetensors"), R"(smelt.words)"));
  const CommandResult evaluated = smelt_in("/", fmt::format("eval {}/a accuracy", work));
  CHECK_MESSAGE(has(evaluated.out, " 1\n"), (evaluated.out + evaluated.err));
  // An export gives numbers.
  write_floats(work + "/x.npy", {0, 3}, {1, 2});
  const CommandResult ran = smelt_in(work, "run a kind --input x=x.npy -o kind.npy");
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.err);
  CHECK(read_npy(work + "/kind.npy")->tensor.as<int32_t>()[0] == 1);
}

TEST_CASE("a run keeps the words that it was trained with") {
  const std::string work = flower_model("words-run");
  REQUIRE(smelt_in(work, "train m.smelt -o a --steps 40").exit_code == 0);
  // Data with fewer words have the numbers of the checkpoint: `setosa` stays 1.
  fs::create_directories(work + "/other");
  for (const char* file : {"/other/train.csv", "/other/valid.csv"})
    write_text_file(work + file, "a,b,kind\n0,3,setosa\n0,4,setosa\n");
  const CommandResult fewer = smelt_in(work, "eval a accuracy --data flowers=other");
  CHECK_MESSAGE(has(fewer.out, " 1\n"), (fewer.out + fewer.err));
  write_text_file(work + "/other/valid.csv", "a,b,kind\n0,3,setose\n");
  const CommandResult unknown = smelt_in(work, "eval a accuracy --data flowers=other");
  CHECK(unknown.exit_code == 3);
  CHECK_MESSAGE(has(unknown.err,
                    "row 2: column `kind`: `setose` is a word that `a/checkpoints/step-40.safetensors` does "
                    "not have"),
                unknown.err);
  CHECK_MESSAGE(has(unknown.err, "did you mean `setosa`? its 3 words are iris, setosa, virginica"), unknown.err);
  // Another word, the same words for other rows, and numbers are no data to go on with.
  write_text_file(work + "/train.csv", flowers({"virginica", "aster", "iris"}));
  const CommandResult other = smelt_in(work, "train m.smelt -o a --resume");
  CHECK(other.exit_code == 3);
  CHECK_MESSAGE(has(other.err, "`aster` is a word that `a/checkpoints/step-40.safetensors` does not have"), other.err);
  write_text_file(work + "/train.csv", flowers({"setosa", "virginica", "iris"}));
  CHECK(has(smelt_in(work, "train m.smelt -o a --resume").err, "train.csv"));
  write_text_file(work + "/train.csv", flowers({"0", "1", "2"}));
  write_text_file(work + "/valid.csv", flowers({"0", "1", "2"}));
  CHECK(has(smelt_in(work, "train m.smelt -o a --resume").err, "`0` is a word that `a/checkpoints/"));
  // And the other way round.
  REQUIRE(smelt_in(work, "train m.smelt -o n --steps 4").exit_code == 0);
  write_text_file(work + "/train.csv", flowers({"virginica", "setosa", "iris"}));
  CHECK(has(smelt_in(work, "train m.smelt -o n --resume").err, "the labels of `Class` are numbers in `n/checkpoints/"));
}

TEST_CASE("words where numbers have to be, unknown ones and too many are errors with their row") {
  const std::string work = flower_model("words-errors");
  const std::string valid = "a,b,kind\n3,0,virginica\n0,3,setosa\n";
  const struct {
    const char *was, *is, *valid, *message;
  } rows[] = {
      {"", "", "a,b,kind\n3,0,virginika\n",
       "valid.csv: row 2: column `kind`: `virginika` is a word that split `train` does not have"},
      {"", "", "a,b,kind\n3,0,\n", "valid.csv: row 2: column `kind` is empty"},
      {"Class = 3", "Class = 2", "", "train.csv: column `kind` has 3 words, `Class` is 2"},
      {"row()[0 .. 2]", "row()[1 .. 3]", "", "row 2: column `kind`: `virginica` is not a number"},
      {"Feature = 2", "Feature = 3", "", "only labels may be words: `y: ix<Class> = field(2)`; `row()[0 .. 2]` is the"},
      {"ix<Class> = field(2)", "ix<Class> = field(1)", "", "train.csv: row 3: column `width`: 4 is not in 0..2"},
  };
  for (const auto& row : rows) {
    std::string model = *row.was != 0 ? replaced(kModel, row.was, row.is) : std::string(kModel);
    if (std::string_view(row.was) == "Feature = 2") model = replaced(model, "row()[0 .. 2]", "row()");
    write_text_file(work + "/m.smelt", model);
    write_text_file(work + "/valid.csv", *row.valid != 0 ? row.valid : valid);
    const CommandResult result = smelt_in(work, "train m.smelt -o r --force");
    CHECK_MESSAGE(result.exit_code == 3, result.err);
    CHECK_MESSAGE(has(result.err, row.message), result.err);
  }
}

TEST_CASE("columns of splits stand in one order, and a run is evaluated without the data that it was trained on") {
  const std::string work = fresh_directory("columns-of-splits");
  write_text_file(work + "/m.smelt", R"(dim B <= 4, K = 3
data d {
  train = csv("t.csv")
  valid = csv("v.csv")
  a: f32 = field(0)
  y: ix<K> = field(1)
}
layer Net(a: f32[B]) -> f32[B, K] {
  param W: f32[K] = ones()
  a * W
}
model net = Net
objective loss(a: f32[B], y: ix<K>[B]) updates net { mean(softmax_xent(net(a), y, over=K)) }
metric labels(y: ix<K>[B]) = mean(cast(y, f32))
train {
  data d
  batch B = 4
  steps 3
  step loss with sgd(lr = 0.1)
}
)");
  write_text_file(work + "/t.csv", "size,kind\n0,1\n1,2\n2,0\n1,1\n");
  const auto valid = [&](const char* text) {
    write_text_file(work + "/v.csv", text);
    return smelt_in(work, "eval m.smelt labels");
  };
  CHECK(valid("size,kind\n1,2\n").exit_code == 0);
  CHECK(valid("1,2\n").exit_code == 0);                // no names
  CHECK(valid("length,class\n1,2\n").exit_code == 0);  // others, in the same places
  const CommandResult swapped = valid("kind,size\n2,1\n");
  CHECK(swapped.exit_code == 3);
  CHECK_MESSAGE(swapped.err.find("column `kind` is number 1 of `v.csv` and number 2 of `t.csv`") != std::string::npos,
                swapped.err);
  CHECK(smelt_in(work, "check m.smelt").exit_code == 3);

  CHECK(valid("size,kind\n1,2\n1,0\n").exit_code == 0);
  REQUIRE(smelt_in(work, "train m.smelt -o r").exit_code == 0);
  std::filesystem::remove(work + "/t.csv");
  const CommandResult alone = smelt_in(work, "eval r labels");
  CHECK_MESSAGE(alone.exit_code == 0, alone.err);
  CHECK(alone.out.find(" 1\n") != std::string::npos);
  const CommandResult gone = smelt_in(work, "eval r labels --split train");
  CHECK(gone.exit_code == 3);
  CHECK_MESSAGE(gone.err.find("cannot find `t.csv`") != std::string::npos, gone.err);
}

}  // namespace
}  // namespace smelt::test
