// Texts are printed while they are written, and are the same bytes as those that are written whole.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

constexpr std::string_view kModel = R"(import std.nn (Embedding, LSTM, Dense)
import std.sequence (LearnedPositions, TransformerBlock)
dim B <= 4, T = 24, Byte = 256, D = 16, P <= 8, Long = 20_000
layer Net(x: ix<Byte>[B, L]) -> f32[B, L, Byte] {
  x |> Embedding{Byte, D} |> LearnedPositions{T} |> TransformerBlock{2, 32, pre=true, causal=true} |> Dense{Byte}
}
layer Slow(x: ix<Byte>[B, L]) -> f32[B, L, Byte] { x |> Embedding{Byte, D} |> LSTM{64} |> Dense{Byte} }
model net = Net
model slow = Slow
export write(prompt: ix<Byte>[B, P]) -> ix<Byte>[B, T] = generate(net, prompt, T)
export across(prompt: ix<Byte>[B, P]) -> ix<Byte>[T, B] {
  text = generate(net, prompt, T, 0.7, top_k = 9)
  turned[t, n] = text[n, t]
  turned
}
export pages(prompt: ix<Byte>[B, P]) = generate_pages(net, prompt, T, 4)
export one(prompt: ix<Byte>[P]) -> ix<Byte>[T] {
  rows[n < 1, p] = prompt[p]
  reshape(generate(net, rows, T), [T])
}
export beams(prompt: ix<Byte>[P]) -> ix<Byte>[2, T] = beam_search(net, prompt, T, 2, 10)
export each(prompt: ix<Byte>[B, P]) -> ix<Byte>[B, T] {
  best = scan n < B with last = cast(zeros([T]), i32) {
    found = beam_search(net, prompt[n], T, 2, 10)
    one[t < T] = found[0, t]
    yield one
  }
  best
}
export ended(prompt: ix<Byte>[B, P]) -> ix<Byte>[B, T] {
  text = generate(net, prompt, T)
  where(text > 200, 0, text)
}
export long(prompt: ix<Byte>[B, P]) -> ix<Byte>[B, Long] = generate(slow, prompt, Long)
)";

std::string prepare(const std::string& name) {
  const std::string work = fresh_directory(name);
  write_text_file(work + "/m.smelt", kModel);
  return work;
}

TEST_CASE("what is printed while it is made is what a file gets") {
  const std::string work = prepare("stream-same");
  for (const char* name : {"write", "across", "pages", "one", "beams", "each", "ended"}) {
    const bool has_rows = name != std::string_view("one") && name != std::string_view("beams");  // that `-n` counts
    for (const char* flags :
         {"--threads 1", "--threads 2 --seed 5", has_rows ? "-n 3 --threads 3" : "--threads 3", "--precision bf16"}) {
      const std::string command = fmt::format("sample m.smelt {} --prompt ab {}", name, flags);
      const CommandResult printed = smelt_in(work, command);
      REQUIRE_MESSAGE(printed.exit_code == 0, printed.err);
      REQUIRE(smelt_in(work, command + " -o whole.txt --force").exit_code == 0);
      CHECK_MESSAGE(printed.out == read_text_file(work + "/whole.txt"), command);
      CHECK(printed.out.starts_with("ab"));
    }
  }
  CHECK(smelt_in(work, "sample m.smelt write --prompt ab --disable-pass derive_steps").exit_code == 0);
  // More rows than the bound go through in pieces.
  const std::string many = "sample m.smelt write --prompt ab -n 7";
  REQUIRE(smelt_in(work, many + " -o many.txt").exit_code == 0);
  CHECK(smelt_in(work, many).out == read_text_file(work + "/many.txt"));
}

TEST_CASE("a text is printed while it is made, and a reader who leaves ends it quietly") {
  const std::string work = prepare("stream-reader");
  // After the first bytes are read the command still runs; without its reader it ends.
  for (const char* precision : {"f32", "bf16"}) {
    const CommandResult first = shell_in(
        work, fmt::format("rm -f pipe; mkfifo pipe\n"
                          "\"$0\" sample m.smelt long --prompt ab --threads 1 --precision {} > pipe 2> err & pid=$!\n"
                          "exec 3< pipe; head -c 2 <&3; if kill -0 $pid; then echo ' runs'; fi\n"
                          "exec 3<&-; wait $pid; echo \"code $?\"",
                          precision));
    CHECK_MESSAGE(first.out == "ab runs\ncode 141\n", first.out, first.err);
  }
  const std::string said = read_text_file(work + "/err");
  CHECK_MESSAGE(said == "note: without --weights the parameters have their initial values\n", said);
}

}  // namespace
}  // namespace smelt::test
