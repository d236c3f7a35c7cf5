// Texts as subwords of SentencePiece: models of them, rows that a model file reads by them, and what a user gets wrong.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "runtime/files/npy.h"
#include "runtime/files/subwords.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

constexpr std::string_view kModel = R"(import std.nn (Embedding, LSTM, Dense)
dim B <= 4, T = 8, Piece = 300
data text {
  train, valid = bytes("book.txt", window = T, tokens = "m.model") |> split(0.8)
  x: ix<Piece>[T] = field(0)
  y: ix<Piece>[T] = field(1)
}
layer Net(x: ix<Piece>[B, L]) -> f32[B, L, Piece] { x |> Embedding{Piece, 8} |> LSTM{16} |> Dense{Piece} }
model lm = Net
objective loss(x: ix<Piece>[B, T], y: ix<Piece>[B, T]) updates lm { mean(softmax_xent(lm(x), y, over=Piece)) }
train { data text
  batch B = 4, shuffle
  epochs 4
  seed 3
  step loss with adam(lr = 0.02)
  every 2 epochs { text write(cast(zeros([2, 1]), i32) + 5) to "step-{step}.txt" }
}
dim P <= 6
export seen(x: ix<Piece>[B, T]) = x
export echo(prompt: ix<Piece>[B, P]) -> ix<Piece>[B, P] = prompt
export write(prompt: ix<Piece>[B, P]) -> ix<Piece>[B, T] = generate(lm, prompt, T)
)";

std::string book() {
  std::string text;
  for (int i = 0; i < 60; ++i)
    text += fmt::format("  {} the cat sat on the mat, and the dog sat on the log.\tChapter {}\n\n", i * 7919 % 1000, i);
  return text + "Grüße\n";
}

/// A folder with a text and a model of 300 subwords of it; empty, with a note, where the build has no SentencePiece.
std::string prepare(const std::string& name) {
  const std::string work = fresh_directory(name);
  write_text_file(work + "/book.txt", book());
  write_text_file(work + "/m.smelt", kModel);
  const CommandResult trained = smelt_in(work, "tokens train book.txt -o m.model --size 300");
  if (trained.exit_code == 2 && has(trained.err, "has no SentencePiece")) {
    fmt::print(stderr, "SKIPPED: {}: this build has no SentencePiece\n", name);
    return "";
  }
  REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
  return work;
}

TEST_CASE("a model of subwords loses nothing of a text") {
  const std::string work = prepare("tokens-whole");
  if (work.empty()) return;
  const Result<Subwords> subwords = Subwords::read(work + "/m.model");
  REQUIRE(subwords);
  CHECK(subwords->size() == 300);
  for (const std::string& text : {book(), std::string("  never \t seen: 漢字\n\n x"), std::string()}) {
    const Result<std::vector<int32_t>> numbers = subwords->encode(text);
    REQUIRE(numbers);
    for (const int32_t number : *numbers) CHECK((number > 0 && number < 300));
    const Result<std::string> back = subwords->decode(*numbers);
    REQUIRE(back);
    CHECK(*back == text);
  }
  CHECK(subwords->encode(book())->size() < book().size());
  CHECK_FALSE(subwords->decode(std::vector<int32_t>{300}));
  CHECK(smelt_in(work, "tokens train book.txt -o again.model --size 300").exit_code == 0);
  CHECK(read_text_file(work + "/m.model") == read_text_file(work + "/again.model"));
}

TEST_CASE("a model is trained on subwords, and goes on with the same ones only") {
  const std::string work = prepare("tokens-train");
  if (work.empty()) return;
  const CommandResult whole = smelt_in(work, "train m.smelt -o a --threads 1");
  REQUIRE_MESSAGE(whole.exit_code == 0, whole.err);
  REQUIRE(smelt_in(work, "train m.smelt -o b --threads 2 --steps 5").exit_code == 0);
  REQUIRE(smelt_in(work, "train m.smelt -o b --threads 3 --resume").exit_code == 0);
  CHECK(read_text_file(work + "/a/last") == read_text_file(work + "/b/last"));
  CHECK(smelt_in(work, "eval a").out == smelt_in(work, "eval b").out);

  REQUIRE(smelt_in(work, "train m.smelt -o c --steps 5").exit_code == 0);
  REQUIRE(smelt_in(work, "tokens train book.txt -o m.model --size 290 --force").exit_code == 0);
  for (const char* command :
       {"train m.smelt -o c --resume", "eval c", "sample c write --prompt the", "run c write --prompt the"}) {
    const CommandResult other = smelt_in(work, command);
    CHECK(other.exit_code == 3);
    CHECK_MESSAGE(has(other.err, "step-5.safetensors: it was trained with another model of subwords: `m.model` was "),
                  other.err);
    CHECK_MESSAGE(has(other.err, "/m.model is "), other.err);
  }
}

TEST_CASE("texts become numbers and texts again on the command line") {
  const std::string work = prepare("tokens-encode");
  if (work.empty()) return;
  REQUIRE(run_smelt({"tokens", "encode", "m.model", "--text", "the cat sat", "-o", "t.npy"}, {.directory = work})
              .exit_code == 0);
  CHECK(smelt_in(work, "tokens decode m.model t.npy").out == "the cat sat\n");
  const std::vector<int32_t> tabbed = *(*Subwords::read(work + "/m.model")).encode("a\tb");
  HostTensor row = *HostTensor::zeros(DType::I32, {1, static_cast<int64_t>(tabbed.size())});
  std::ranges::copy(tabbed, row.as<int32_t>().begin());
  REQUIRE(write_npy(work + "/t.npy", row).has_value());
  CHECK(smelt_in(work, "tokens decode m.model t.npy").out == "a\tb\n");  // into a pipe as it is
}

TEST_CASE("files of subwords are overwritten with --force only") {
  const std::string work = prepare("tokens-force");
  if (work.empty()) return;
  const std::string model = read_text_file(work + "/m.model");
  REQUIRE(smelt_in(work, "tokens encode m.model --text the -o t.npy").exit_code == 0);
  for (const char* command :
       {"tokens train book.txt -o m.model --size 290", "tokens encode m.model --text cat -o t.npy"}) {
    const CommandResult refused = smelt_in(work, command);
    CHECK(refused.exit_code == 4);
    CHECK_MESSAGE(has(refused.err, "exists\n  = help: give another name, or --force"), refused.err);
  }
  CHECK(read_text_file(work + "/m.model") == model);
  CHECK(smelt_in(work, "tokens decode m.model t.npy").out == "the\n");
  CHECK(smelt_in(work, "tokens train book.txt -o m.model --size 290 --force").exit_code == 0);
  CHECK(read_text_file(work + "/m.model") != model);
  CHECK(smelt_in(work, "tokens encode m.model --text the -o /dev/null").exit_code == 0);
}

TEST_CASE("prompts and samples of subwords are texts") {
  const std::string work = prepare("tokens-sample");
  if (work.empty()) return;
  const CommandResult trained = smelt_in(work, "train m.smelt -o a --threads 1");
  REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
  const auto sample = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"sample", work + "/a"});
    return run_smelt(arguments);
  };
  CHECK(sample({"echo", "--prompt", "the cat"}).out == "the cat\n");
  CHECK(sample({"echo", "--prompt", "the cat", "-n", "2"}).out == "the cat\nthe cat\n");
  const CommandResult printed = sample({"write", "--prompt", "the cat"});
  REQUIRE_MESSAGE(printed.exit_code == 0, printed.err);
  CHECK(printed.out.starts_with("the cat"));
  REQUIRE(sample({"write", "--prompt", "the cat", "-o", work + "/t.txt"}).exit_code == 0);
  CHECK(read_text_file(work + "/t.txt") == printed.out);
  REQUIRE(sample({"write", "--prompt", "the cat", "-o", work + "/t.npy"}).exit_code == 0);
  CHECK(smelt_in(work, "tokens decode m.model t.npy").out == printed.out);
  // An action writes a text as well; its zeros at the end are none.
  const CommandResult written = shell_in(work, "ls a/step-*.txt a/*/step-*.txt 2> /dev/null | wc -l");
  CHECK(std::stoi(written.out) == 2);
  const CommandResult long_prompt = sample({"write", "--prompt", "the cat sat on the mat, and the dog sat on the log"});
  CHECK(long_prompt.exit_code == 2);
  CHECK_MESSAGE(has(long_prompt.err, "subwords, input `prompt` takes 1 to 6"), long_prompt.err);
  REQUIRE(smelt_in(work, "tokens train book.txt -o other.model --size 300").exit_code == 0);
  REQUIRE(shell_in(work, "mv m.model gone.model").exit_code == 0);
  CHECK_MESSAGE(has(sample({"write", "--prompt", "the"}).err, "m.model"), sample({"write", "--prompt", "the"}).err);
  CHECK(smelt_in(work, "sample a write --input prompt=t.npy -o u.npy").exit_code != 70);
}

TEST_CASE("mistakes with subwords") {
  const std::string work = prepare("tokens-mistakes");
  if (work.empty()) return;
  const auto says = [&](const std::string& command, std::string_view text) {
    const CommandResult result = smelt_in(work, command);
    CHECK(result.exit_code != 0);
    CHECK_MESSAGE(has(result.err, text), result.err);
  };
  says("tokens", "needs one of train, encode and decode");
  says("tokens decode book.txt t.npy", "no model of SentencePiece");
  says("tokens encode m.model --text the -o t.txt", "the numbers of a text are written as .npy");
  CHECK_FALSE(std::filesystem::exists(work + "/t.txt"));
  REQUIRE(smelt_in(work, "tokens encode m.model --text the -o t.npy").exit_code == 0);
  HostTensor numbers = std::move(read_npy(work + "/t.npy")->tensor);
  REQUIRE(write_npy(work + "/wide.npy", *convert(numbers, DType::I64)));  // as numpy makes them
  CHECK(smelt_in(work, "tokens decode m.model wide.npy").out == "the\n");
  REQUIRE(write_npy(work + "/floats.npy", *convert(numbers, DType::F32)));
  says("tokens decode m.model floats.npy", "is no row of subwords, which are whole numbers");
  says("tokens train nothing.txt -o x.model", "nothing.txt");
  says("tokens train book.txt -o x.model --size 100000", "100000 subwords are too many for this text, of which ");
  says("tokens train book.txt -o x.model --size 260", "260 subwords are too few for this text, which needs ");
  // A model with more subwords than the dim has.
  write_text_file(work + "/few.smelt", replaced(std::string(kModel), "Piece = 300", "Piece = 260"));
  says("train few.smelt", "260");
  write_text_file(work + "/lost.smelt", replaced(std::string(kModel), "m.model", "lost.model"));
  says("train lost.smelt", "cannot find `lost.model`");
}

}  // namespace
}  // namespace smelt::test
