// A text, from the model file to bytes that an export writes.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "runtime/files/npy.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModel = R"(import std.nn (Embedding, LSTM, Dense)
dim B <= 4, T = 8, Byte = 256, N = 12, Hidden = 16, Gate = 4
data text {
  train, valid = bytes("book.txt", window = T) |> split(0.8)
  x: ix<Byte>[T] = field(0)
  y: ix<Byte>[T] = field(1)
}
layer Chars(x: ix<Byte>[B, T]) -> f32[B, T, Byte] { x |> emb: Embedding{Byte, 8} |> one: LSTM{16} |> out: Dense{Byte} }
model lm = Chars
fn xent(x, y) = mean(softmax_xent(lm(x), y, over=Byte))
objective loss(x: ix<Byte>[B, T], y: ix<Byte>[B, T]) updates lm { xent(x, y) }
metric bits(x: ix<Byte>[B, T], y: ix<Byte>[B, T]) = xent(x, y) / log(2)
train { data text
  batch B = 4, shuffle
  epochs 12
  seed 3
  step loss with adam(lr = 0.02)
  every 6 epochs { eval valid: bits }
}
export write(start: ix<Byte>[B]) -> ix<Byte>[N, B] {
  scan s < N with ch = start, h = zeros([B, Hidden]), c = zeros([B, Hidden]) {
    z = (lm.emb.table[ch] @ lm.one.Wx + h @ lm.one.Wh + lm.one.b) as [B, Gate, Hidden]
    (i, f, g, o) = split(z, over=Gate)
    c <- sigmoid(f) * c + sigmoid(i) * tanh(g)
    h <- sigmoid(o) * tanh(c)
    u ~ Uniform(0, 1)[B, Byte]
    ch <- argmax((h @ lm.out.W + lm.out.b) - log(-log(u)), over=Byte)
    yield ch
  }
}
)";

std::string text_model(const std::string& name) {
  const std::string work = fresh_directory(name);
  std::string book;
  for (int i = 0; i < 40; ++i) book += "the cat sat on the mat. ";
  write_text_file(work + "/book.txt", book);
  write_text_file(work + "/m.smelt", kModel);
  return work;
}

TEST_CASE("a text is trained on and written, and the bits do not depend on threads or stops") {
  const std::string work = text_model("text-train");
  const std::string model = work + "/m.smelt";
  const CommandResult whole = run_smelt({"train", model, "-o", work + "/a", "--threads", "1"});
  REQUIRE_MESSAGE(whole.exit_code == 0, whole.err);
  const CommandResult part = run_smelt({"train", model, "-o", work + "/b", "--threads", "2", "--steps", "40"});
  REQUIRE_MESSAGE(part.exit_code == 0, part.err);
  const CommandResult rest = run_smelt({"train", model, "--resume", "-o", work + "/b", "--threads", "3"});
  REQUIRE_MESSAGE(rest.exit_code == 0, rest.err);
  const CommandResult evaluated = run_smelt({"eval", work + "/a"});
  REQUIRE_MESSAGE(evaluated.exit_code == 0, evaluated.err);
  CHECK(evaluated.out == run_smelt({"eval", work + "/b"}).out);
  Result<HostTensor> start = HostTensor::zeros(DType::I32, {2}, "the first bytes");
  REQUIRE(start);
  std::ranges::fill(start->as<int32_t>(), int32_t{'t'});
  REQUIRE(write_npy(work + "/start.npy", *start));
  for (const char* out : {"/one.npy", "/two.npy"}) {
    const CommandResult written =
        run_smelt({"run", work + "/a", "write", "--input", "start=" + work + "/start.npy", "-o", work + out});
    REQUIRE_MESSAGE(written.exit_code == 0, written.err);
  }
  const Result<NpyFile> one = read_npy(work + "/one.npy"), two = read_npy(work + "/two.npy");
  REQUIRE((one && two));
  CHECK(std::ranges::equal(one->tensor.as<int32_t>(), two->tensor.as<int32_t>()));  // the draws are the seed's
  for (const int32_t byte : one->tensor.as<int32_t>())
    CHECK_MESSAGE(has("the cat sat on the mat. ", std::string(1, static_cast<char>(byte))), byte);
}

constexpr std::string_view kPrompted = R"(
dim P <= 6
export say(prompt: ix<Byte>[B, P]) -> ix<Byte>[P, B] {
  y[p, n] = prompt[n, p]
  y
}
export fixed(prompt: ix<Byte>[B, T]) -> ix<Byte>[B, T] = prompt
export one(prompt: ix<Byte>[P]) -> ix<Byte>[P] = prompt
export start(first: ix<Byte>[B]) -> ix<Byte>[B, T] {
  y[n, t < T] = first[n]
  y
}
export both(a: ix<Byte>[B, P], b: ix<Byte>[B, P]) -> ix<Byte>[B, P] = a
)";

TEST_CASE("a prompt is an input of bytes, and a text is printed") {
  const std::string work = text_model("text-prompt");
  write_text_file(work + "/m.smelt", std::string(kModel) + std::string(kPrompted));
  const auto sample = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"sample", work + "/m.smelt"});
    return run_smelt(arguments);
  };
  CHECK(sample({"say", "--prompt", "a cat"}).out == "a cat\n");
  CHECK(sample({"say", "--prompt", "a cat", "-n", "3"}).out == "a cat\na cat\na cat\n");
  CHECK(sample({"say", "--prompt", "a\ncat", "-n", "2"}).out == "a\ncat\n\na\ncat\n");
  CHECK(sample({"one", "--prompt", "a cat"}).out == "a cat\n");
  CHECK(sample({"fixed", "--prompt", "the cats"}).out == "the cats\n");
  REQUIRE(sample({"say", "--prompt", "\xC3\xA9", "-o", work + "/x.txt"}).exit_code == 0);
  CHECK(read_text_file(work + "/x.txt") == "\xC3\xA9\n");
  const CommandResult part = sample({"fixed", "--prompt", "a cat"});
  CHECK(part.exit_code == 2);
  CHECK_MESSAGE(has(part.err, "--prompt has 5 bytes, input `prompt` takes 8"), part.err);
  CHECK_MESSAGE(has(part.err, "`dim P <= 8`"), part.err);
  CHECK(has(sample({"say", "--prompt", "the cats"}).err, "--prompt has 8 bytes, input `prompt` takes 1 to 6"));
  CHECK(has(sample({"both", "--prompt", "a"}).err, "takes 2 texts: a, b"));
  CHECK(has(sample({"say"}).err, "--prompt"));
  CHECK(run_smelt({"run", work + "/m.smelt", "say", "--prompt", "a cat"}).out == "a cat\n");
}

// A label a row was one text of labels: `-n 3` wrote one row, and three bytes were three rows.
TEST_CASE("-n counts the rows that a prompt begins, or is refused") {
  const std::string work = text_model("text-rows");
  write_text_file(work + "/m.smelt", std::string(kModel) + std::string(kPrompted));
  const auto sample = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"sample", work + "/m.smelt"});
    return run_smelt(arguments);
  };
  CHECK(sample({"start", "--prompt", "a"}).out == "aaaaaaaa\n");
  CHECK(sample({"start", "--prompt", "a", "-n", "2"}).out == "aaaaaaaa\naaaaaaaa\n");
  const CommandResult long_label = sample({"start", "--prompt", "abc"});
  CHECK(long_label.exit_code == 2);
  CHECK_MESSAGE(has(long_label.err, "--prompt has 3 bytes, input `first` takes one for each row"), long_label.err);
  CHECK(sample({"one", "--prompt", "a cat", "-n", "1"}).out == "a cat\n");
  const CommandResult many = sample({"one", "--prompt", "a cat", "-n", "3"});
  CHECK(many.exit_code == 2);
  CHECK_MESSAGE(has(many.err, "-n says how many texts begin with the prompt, and input `prompt`, i32[P<=6], is one"),
                many.err);
}

TEST_CASE("a text that changed is noticed when the run goes on") {
  const std::string work = text_model("text-changed");
  const std::string model = work + "/m.smelt";
  REQUIRE(run_smelt({"train", model, "-o", work + "/a", "--steps", "9"}).exit_code == 0);
  std::string book;
  for (int i = 0; i < 40; ++i) book += "the dog sat on the mat. ";
  write_text_file(work + "/book.txt", book);
  const CommandResult rest = run_smelt({"train", model, "--resume", "-o", work + "/a"});
  CHECK(rest.exit_code != 0);
  CHECK_MESSAGE(has(rest.err, "the data of split `train` changed since"), rest.err);
}

TEST_CASE("check needs no text for shapes, and looks at one that is there") {
  const std::string work = text_model("text-check");
  const std::string model = work + "/m.smelt";
  const CommandResult there = run_smelt({"check", model, "--data"});
  CHECK_MESSAGE(there.exit_code == 0, there.err);
  CHECK_MESSAGE(has(there.out, "field(0) u8[8]"), there.out);
  CHECK_MESSAGE(has(there.out, "split train: 95 rows"), there.out);
  CHECK_MESSAGE(has(there.out, "split valid: 24 rows"), there.out);
  write_text_file(work + "/book.txt", "short");
  const CommandResult cut = run_smelt({"check", model});
  CHECK(cut.exit_code != 0);
  CHECK_MESSAGE(has(cut.err, "5 bytes are less than one window of 8"), cut.err);
  CHECK_MESSAGE(has(cut.err, "m.smelt:4:18"), cut.err);
  write_text_file(work + "/book.txt", "");
  CHECK(has(run_smelt({"check", model}).err, "the file is empty"));
  fs::remove(work + "/book.txt");
  const CommandResult gone = run_smelt({"check", model});
  CHECK_MESSAGE(gone.exit_code == 0, gone.err);
  const CommandResult trained = run_smelt({"train", model, "-o", work + "/a"});
  CHECK(trained.exit_code != 0);
  CHECK_MESSAGE(has(trained.err, "book.txt"), trained.err);
}

}  // namespace
}  // namespace smelt::test
