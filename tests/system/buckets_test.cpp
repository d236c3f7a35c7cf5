// Batches that are as long as their longest row, from the model file to checkpoints.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

/// Lines of 1 to 16 letters, half of them of one to three: the rows of a batch differ.
std::string some_lines(bool pairs) {
  std::string text;
  uint32_t state = 1;
  const auto draw = [&](uint32_t below) {
    state = state * 1664525 + 1013904223;
    return (state >> 16) % below;
  };
  for (int row = 0; row < 83; ++row) {
    const uint32_t length = 1 + (row % 2 == 0 ? draw(3) : draw(16));
    std::string word, other;
    for (uint32_t i = 0; i < length; ++i) word += static_cast<char>('a' + draw(6));
    for (size_t i = word.size(); i-- > 0;) other += static_cast<char>(word[i] - 'a' + 'A');
    text += pairs ? word + "\t" + other + "\n" : word + "\n";
  }
  return text;
}

/// Batches of 8 rows of like length, three of them together.
std::string train_section(std::string_view data) {
  return fmt::format(R"(train {{ data {}
  batch B = 8, shuffle, bucket = 3
  epochs 3
  seed 5
  step loss with adam(lr = 0.01)
  every 1 epoch {{ eval valid: loss }}
}}
)",
                     data);
}

/// Reads a word and says it backwards.
const std::string kPairs = R"(import std.nn (Embedding, Dropout, Dense)
import std.sequence (SinusoidalPositions, TransformerBlock, TransformerDecoderBlock)
dim B <= 8, S <= 16, T <= 17, Byte = 128, D = 8
data words {
  train, valid = pairs("words.tsv", lengths = [S, T], ends = (0, 1)) |> split(0.8)
  word: ix<Byte>[S] = field(0)
  said: ix<Byte>[T] = field(1)
  letters: i32 = field(3)
}
layer Encoder(word: ix<Byte>[B, S], real: bool[B, S]) -> f32[B, S, D] {
  word |> Embedding{Byte, D} |> SinusoidalPositions |> Dropout{0.1} |> TransformerBlock{2, 16, p=0.1}(real)
}
layer Decoder(said: ix<Byte>[B, T], memory: f32[B, S, D], real: bool[B, S]) -> f32[B, T, Byte] {
  h = said |> Embedding{Byte, D} |> SinusoidalPositions |> Dropout{0.1}
  h |> TransformerDecoderBlock{2, 16, p=0.1}(memory, real) |> out: Dense{Byte}
}
model enc = Encoder
model dec = Decoder
fn late(said: ix<Byte>[B, T]) -> ix<Byte>[B, T] {
  w = scan t < T with last = cast(zeros([B]), i32) {
    yield last
    last <- said[t]
  }
  v[n, t] = w[t, n]
  v
}
objective loss(word: ix<Byte>[B, S], said: ix<Byte>[B, T], letters: i32[B]) updates enc, dec {
  logits = dec(late(said), enc(word, word > 0), word > 0)
  masked_mean(softmax_xent(logits, said, over=Byte), mask_of(letters + 1, over=T))
}
)" + train_section("words");

std::string pairs_model(const std::string& name, std::string_view text = kPairs) {
  const std::string work = fresh_directory(name);
  write_text_file(work + "/words.tsv", some_lines(true));
  write_text_file(work + "/m.smelt", text);
  return work;
}

void check_close(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  REQUIRE(a.size() == b.size());
  REQUIRE(!a.empty());
  for (size_t i = 0; i < a.size(); ++i)
    CHECK_MESSAGE(std::fabs(a[i] - b[i]) <= tolerance * std::max(1.0, std::fabs(b[i])), i, ": ", a[i], " ", b[i]);
}

TEST_CASE("batches of like length have the bits of one run on any number of threads, and after a stop in an epoch") {
  const std::string work = pairs_model("buckets-bits");
  REQUIRE_MESSAGE(smelt_in(work, "train m.smelt -o a --threads 1").exit_code == 0, work);
  REQUIRE(smelt_in(work, "train m.smelt -o b --threads 2 --steps 13").exit_code == 0);  // 9 batches an epoch
  REQUIRE(smelt_in(work, "train m.smelt --resume -o b --threads 3").exit_code == 0);
  CHECK(logged_values(work + "/a") == logged_values(work + "/b"));
  CHECK(difference(work + "/a/checkpoints/step-27.safetensors", work + "/b/checkpoints/step-27.safetensors") == "");
}

TEST_CASE("losses are those of batches of the same rows that are padded") {
  const std::string work = pairs_model("buckets-padded");
  write_text_file(work + "/padded.smelt", replaced(kPairs, "S <= 16, T <= 17", "S = 16, T = 17"));
  REQUIRE(smelt_in(work, "train m.smelt -o a").exit_code == 0);
  const CommandResult padded = smelt_in(work, "train padded.smelt -o b");
  REQUIRE(padded.exit_code == 0);
  CHECK_MESSAGE(has(padded.err, "`bucket` makes no batch shorter"), padded.err);
  check_close(logged_losses(work + "/a", "loss"), logged_losses(work + "/b", "loss"), 2e-5);
}

/// Finds each letter from those before it, and the one behind it.
const std::string kLines = R"(import std.nn (Embedding, LSTM, Dense)
dim B <= 8, T <= 17, Whole = 17, Byte = 128, D = 8
data names {
  train, valid = lines("names.txt", length = T, ends = 1) |> split(0.8)
  name: ix<Byte>[T] = field(0)
  whole: ix<Byte>[Whole] = field(0)
  letters: i32 = field(1)
}
layer Net(x: ix<Byte>[B, L]) -> f32[B, L, Byte] { x |> Embedding{Byte, D} |> LSTM{D} |> Dense{Byte} }
model lm = Net
objective loss(name: ix<Byte>[B, T], letters: i32[B]) updates lm {
  before[n, t < T] = name?[n, t - 1]
  later[n, t < T] = name?[n, t + 1]
  xent = softmax_xent(lm(before), name, over=Byte) + softmax_xent(lm(name), later, over=Byte)
  masked_mean(xent, mask_of(letters + 1, over=T))
}
metric differs(name: ix<Byte>[B, T], whole: ix<Byte>[B, Whole]) =
  mean((sum(cast(name, f32), over=T) - sum(cast(whole, f32), over=Whole)) ^ 2)
)" + train_section("names");

std::string lines_model(const std::string& name) {
  const std::string work = fresh_directory(name);
  write_text_file(work + "/names.txt", some_lines(false));
  write_text_file(work + "/m.smelt", kLines);
  write_text_file(work + "/padded.smelt", replaced(kLines, "T <= 17", "T = 17"));
  return work;
}

TEST_CASE("a recurrent net over lines learns and is evaluated as with padded lines") {
  const std::string work = lines_model("buckets-lines");
  for (const char* line :
       {"train m.smelt -o a --threads 1", "train m.smelt -o c --threads 3", "train padded.smelt -o b"}) {
    const CommandResult trained = smelt_in(work, line);
    REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
  }
  CHECK(logged_values(work + "/a") == logged_values(work + "/c"));
  check_close(logged_losses(work + "/a", "loss"), logged_losses(work + "/b", "loss"), 2e-5);
  const auto evaluated = [&](std::string_view line, std::string_view metric) {
    const CommandResult result = smelt_in(work, line);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    const size_t at = result.out.find(metric);
    REQUIRE_MESSAGE(at != std::string::npos, result.out);
    return std::stod(result.out.substr(at + metric.size()));
  };
  CHECK(std::fabs(evaluated("eval a", "loss ") -
                  evaluated("eval padded.smelt --weights a/checkpoints/step-27.safetensors", "loss ")) < 1e-5);
  CHECK(evaluated("eval a", "differs ") == 0);
}

TEST_CASE("check tells how many places a row takes") {
  const std::string work = lines_model("buckets-check");
  write_text_file(work + "/names.txt", "a\nab\nabc\nabcd\nabcde\nabcdef\nabcdefg\nabcdefgh\n");
  write_text_file(work + "/m.smelt", replaced(replaced(kLines, "train, valid = ", "train = "), " |> split(0.8)", ""));
  write_text_file(work + "/m.smelt", replaced(read_text_file(work + "/m.smelt"), "eval valid", "eval train"));
  const CommandResult whole = smelt_in(work, "check m.smelt --data");
  CHECK_MESSAGE(has(whole.out, "T: strings of 1 .. 8, mean 4.5; a row takes 9 of 17 places in batches of 8"),
                whole.out);
  write_text_file(work + "/m.smelt", replaced(read_text_file(work + "/m.smelt"), "batch B = 8", "batch B = 2"));
  const CommandResult alike = smelt_in(work, "check m.smelt --data --json");
  CHECK_MESSAGE(has(alike.out, "\"places\":6."), alike.out);
}

TEST_CASE("what made a loss infinite is found in a batch that is shorter than the bound") {
  const std::string work = fresh_directory("buckets-nan");
  std::string lines = some_lines(false);
  std::ranges::replace(lines, 'a', 'b');
  write_text_file(work + "/names.txt", "aaaaaaaaaaaa\n" + lines);
  write_text_file(work + "/m.smelt", R"(import std.nn (Embedding, Dense)
dim B <= 4, T <= 16, Byte = 128
data names {
  train = lines("names.txt", length = T)
  name: ix<Byte>[T] = field(0)
}
layer Net(x: ix<Byte>[B, L]) -> f32[B, L, Byte] { x |> Embedding{Byte, 4} |> Dense{Byte} }
model lm = Net
objective loss(name: ix<Byte>[B, T]) updates lm {
  b = sum(where(name == 98, 1.0, 0.0), over=T)
  mean(log(b - 0.5)) + mean(lm(name) ^ 2)
}
train { data names
  batch B = 4
  epochs 1
  seed 5
  step loss with sgd(lr = 0.1)
}
)");
  const CommandResult trained = smelt_in(work, "train m.smelt -o a");
  CHECK(trained.exit_code == 6);
  CHECK_MESSAGE(has(trained.err, "`log` gives nan"), trained.err);
  CHECK_MESSAGE(has(trained.err, "row 0 of this batch is row 0 of split `train`"), trained.err);
}

TEST_CASE("a run goes on with the same bucket and the same ends alone, and a string that is too long has its line") {
  const std::string work = lines_model("buckets-going-on");
  REQUIRE(smelt_in(work, "train m.smelt -o a --steps 4").exit_code == 0);
  write_text_file(work + "/other.smelt", replaced(kLines, "bucket = 3", "bucket = 2"));
  CHECK(smelt_in(work, "train other.smelt --resume -o a").exit_code != 0);
  write_text_file(work + "/other.smelt", replaced(kLines, "ends = 1", "ends = 0"));
  CHECK(smelt_in(work, "train other.smelt --resume -o a").exit_code != 0);
  write_text_file(work + "/other.smelt", kLines + "# a comment\n");
  CHECK(smelt_in(work, "train other.smelt --resume -o a").exit_code == 0);
  write_text_file(work + "/names.txt", "a line\n" + std::string(17, 'x') + "\n");
  const CommandResult trained = smelt_in(work, "train m.smelt -o b");
  CHECK(trained.exit_code != 0);
  CHECK_MESSAGE(has(trained.err, "names.txt, line 2: it has 17 bytes, the model takes 16 and 1 zero behind them"),
                trained.err);
}

}  // namespace
}  // namespace smelt::test
