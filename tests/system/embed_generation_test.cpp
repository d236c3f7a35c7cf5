// A C host that writes a sequence itself, a position a call, by what `smelt build` made of an export.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "runtime/files/npy.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

/// Attention, a convolution, a recurrent net, positions: each keeps something else. `steps` gives the scores of each
/// step of a loop that takes the likeliest label.
constexpr std::string_view kModel = R"(import std.nn (Embedding, LSTM, Dense)
import std.sequence (SinusoidalPositions, TransformerBlock, CausalConv1d)
dim B <= 3, T = 12, K = 20, D = 16, P <= 4, Last = 11
layer Net(x: ix<K>[B, L]) -> f32[B, L, K] {
  h = x |> Embedding{K, D} |> SinusoidalPositions |> TransformerBlock{2, 32, pre=true, causal=true}
  turned[n, d, t] = h[n, t, d]
  c = turned |> CausalConv1d{D, k=3, dilation=2}
  back[n, t, d] = c[n, d, t]
  back |> LSTM{D} |> Dense{K}
}
model net = Net
export steps(prompt: ix<K>[B, P]) -> f32[Last, B, K] {
  num_given = cast(count(index(P)), i32)
  start = scan p < P with text = cast(zeros([B, T]), i32) { text <- where(index(T) == p, prompt[p], text) }
  scan s < Last by position with text = start {
    all = net(text)
    logits[n, k] = all[n, s, k]
    text <- where(index(T) == s + 1, where(s + 1 < num_given, text, argmax(logits, over=K)), text)
    yield logits
  }
}
export write(prompt: ix<K>[B, P]) -> ix<K>[B, T] = generate(net, prompt, T, 0)
)";

constexpr std::string_view kHost = R"(#include <stdio.h>
#include <stdlib.h>
#include "m.h"
enum { N = 3, K = 20, GIVEN = 2 };
static const int32_t prompt[N][GIVEN] = {{3, 7}, {19, 0}, {5, 5}};
int main(void) {
  static float scores[N * K];
  static int32_t text[N];
  int k, n, j;
  void *arena = aligned_alloc(SMELT_ARENA_ALIGNMENT, (M_ARENA_BYTES + 63) / 64 * 64);
  m_steps_reset_in begin = {N};
  m_steps_step_in in = {text};
  m_steps_step_out out = {scores};
  FILE *file = fopen("scores.raw", "wb");
  if (m_init(arena, 0, 0) != SMELT_CALL_OK || m_steps_reset(arena, &begin) != SMELT_CALL_OK) return 1;
  for (k = 0; k < M_STEPS_POSITIONS; ++k) {
    for (n = 0; n < N; ++n) {
      int best = 0;
      for (j = 1; j < K; ++j) if (scores[n * K + j] > scores[n * K + best]) best = j;
      text[n] = k < GIVEN ? prompt[n][k] : best;
    }
    if (m_steps_step(arena, &in, &out) != SMELT_CALL_OK) return 2;
    fwrite(scores, sizeof scores, 1, file);
  }
  fclose(file);
  free(arena);
  return 0;
}
)";

void build_host(const std::string& work, std::string_view host, const std::vector<std::string>& flags) {
  write_text_file(work + "/host.c", host);
  std::vector<std::string> command = {"cc"};
  command.insert(command.end(), flags.begin(), flags.end());
  for (const char* argument : {"host.c", "m.o", "-lm", "-o", "host"}) command.emplace_back(argument);
  const CommandResult built = run_command(command, {.directory = work});
  REQUIRE_MESSAGE(built.exit_code == 0, built.err);
}

/// Builds a host that writes in f32 or bf16, and compares its scores.
void check_scores(const std::string& work, const std::string& precision) {
  write_text_file(work + "/m.smelt", kModel);
  const CommandResult made = smelt_in(work, "build m.smelt -o . --precision " + precision);
  REQUIRE_MESSAGE(made.exit_code == 0, made.err);
  build_host(work, kHost, {"-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1"});
  REQUIRE(run_command({"./host"}, {.directory = work}).exit_code == 0);
  Result<HostTensor> prompt = HostTensor::zeros(DType::I32, {3, 2}, "the prompt");
  REQUIRE(prompt);
  const int32_t labels[] = {3, 7, 19, 0, 5, 5};
  std::ranges::copy(labels, prompt->as<int32_t>().begin());
  REQUIRE(write_npy(work + "/prompt.npy", *prompt));
  const CommandResult run =
      smelt_in(work, "run m.smelt steps --input prompt=prompt.npy -o scores.npy --precision " + precision);
  REQUIRE_MESSAGE(run.exit_code == 0, run.err);
  const Result<NpyFile> expected = read_npy(work + "/scores.npy");
  REQUIRE(expected);
  const std::string raw = read_text_file(work + "/scores.raw");
  REQUIRE(raw.size() == expected->tensor.data.size());
  CHECK(std::memcmp(raw.data(), expected->tensor.data.data(), raw.size()) == 0);
  bool differ = false;
  for (const float score : expected->tensor.as<float>()) differ = differ || std::abs(score) > 1e-3f;
  CHECK(differ);  // it says something
}

TEST_CASE("a host that writes a text a position a call gets the scores of `smelt run`, to the bit") {
  check_scores(fresh_directory("embed-generation"), "f32");
  check_scores(fresh_directory("embed-generation-bf16"), "bf16");
}

TEST_CASE("a host that errs with positions gets a status, under the address sanitizer") {
  const std::string work = fresh_directory("embed-generation-errs");
  write_text_file(work + "/m.smelt", kModel);
  write_text_file(work + "/other.smelt",
                  "dim B <= 2\nlayer L(x: f32[B]) -> f32[B] { param w: f32 = ones()\n  x * w }\nmodel net = L\n"
                  "export f(x: f32[B]) -> f32[B] = net(x)\n");
  REQUIRE(smelt_in(work, "build m.smelt -o .").exit_code == 0);
  REQUIRE(smelt_in(work, "build other.smelt -o .").exit_code == 0);
  build_host(work, R"(#include <stdlib.h>
#include "m.h"
#include "other.h"
#define IS(status, call) if ((call) != SMELT_CALL_##status) return __LINE__;
static void *arena_of(size_t bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }
int main(void) {
  static float scores[3 * 20], again[3 * 20];
  static int32_t text[3] = {3, 19, 5};
  void *arena = arena_of(M_ARENA_BYTES), *foreign = arena_of(OTHER_ARENA_BYTES);
  char *shifted = (char *)arena + 8;
  m_write_reset_in begin = {2}, large = {4}, none = {0};
  m_write_step_in in = {text};
  m_write_step_out out = {scores}, second = {again};
  int k;
  IS(OK, m_init(arena, 1, 0)) IS(OK, other_init(foreign, 1, 0))
  IS(NOT_RESET, m_write_step(arena, &in, &out))
  IS(BAD_ARGUMENT, m_write_reset(NULL, &begin)) IS(BAD_ARGUMENT, m_write_reset(shifted, &begin))
  IS(BAD_ARGUMENT, m_write_reset(arena, NULL)) IS(BAD_ARGUMENT, m_write_reset(arena, &large)) IS(BAD_ARGUMENT, m_write_reset(arena, &none))
  IS(OTHER_PROGRAM, m_write_reset(foreign, &begin))
  IS(NOT_RESET, m_write_step(arena, &in, &out))
  IS(OK, m_write_reset(arena, &begin))
  IS(BAD_ARGUMENT, m_write_step(NULL, &in, &out)) IS(BAD_ARGUMENT, m_write_step(shifted, &in, &out))
  IS(BAD_ARGUMENT, m_write_step(arena, NULL, &out)) IS(BAD_ARGUMENT, m_write_step(arena, &in, NULL))
  IS(OTHER_PROGRAM, m_write_step(foreign, &in, &out))
  in.text = NULL; IS(BAD_ARGUMENT, m_write_step(arena, &in, &out)) in.text = text;
  out.scores = NULL; IS(BAD_ARGUMENT, m_write_step(arena, &in, &out)) out.scores = scores;
  text[1] = 20; IS(BAD_LABEL, m_write_step(arena, &in, &out))
  text[1] = -1; IS(BAD_LABEL, m_write_step(arena, &in, &out)) text[1] = 19;
  text[2] = 99; /* the third row is not there */
  /* Nothing ran: this is the first position. */
  for (k = 0; k < M_WRITE_POSITIONS; ++k) IS(OK, m_write_step(arena, &in, k == 0 ? &out : &second))
  IS(NO_POSITION, m_write_step(arena, &in, &out)) IS(NO_POSITION, m_write_step(arena, &in, &out))
  /* After a reset the first position gives what it gave before. */
  IS(OK, m_write_reset(arena, &begin)) IS(OK, m_write_step(arena, &in, &second))
  if (memcmp(scores, again, sizeof(float) * 2 * 20) != 0) return __LINE__;
  free(arena); free(foreign);
  return 0;
}
)",
             {"-std=c11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-Wall",
              "-Wextra", "other.o"});
  const CommandResult run = run_command({"./host"}, {.directory = work});
  CHECK_MESSAGE(run.exit_code == 0, fmt::format("line {} (modulo 256) of host.c: {}", run.exit_code, run.err));
}

TEST_CASE("the step alone needs less, and a name that no export has is an error") {
  const std::string work = fresh_directory("embed-generation-only");
  write_text_file(work + "/m.smelt", kModel);
  REQUIRE(smelt_in(work, "build m.smelt -o all").exit_code == 0);
  REQUIRE(smelt_in(work, "build m.smelt --only steps_step -o .").exit_code == 0);
  CHECK(std::filesystem::file_size(work + "/m.o") < std::filesystem::file_size(work + "/all/m.o"));
  const std::string header = read_text_file(work + "/m.h");
  for (const char* gone : {"m_write(", "m_write_step", "m_steps("})
    CHECK_MESSAGE(header.find(gone) == std::string::npos, gone);
  build_host(work, kHost, {"-std=c11", "-O1"});
  CHECK(run_command({"./host"}, {.directory = work}).exit_code == 0);
  const CommandResult wrong = smelt_in(work, "build m.smelt --only steps_stp -o .");
  CHECK(wrong.exit_code == 2);
  CHECK_MESSAGE(wrong.err.find("--only: there is no export `steps_stp`") != std::string::npos, wrong.err);
  CHECK_MESSAGE(wrong.err.find("did you mean `steps_step`?") != std::string::npos, wrong.err);
}

TEST_CASE("headers of exports that write compile without a warning, and say why an export has no step") {
  const std::string work = fresh_directory("embed-generation-headers");
  write_text_file(work + "/m.smelt", std::string(kModel) + R"(
export search(prompt: ix<K>[P]) -> ix<K>[Beam, T] = beam_search(net, prompt, T, 2, 1)
dim Beam = 2
)");
  REQUIRE(smelt_in(work, "build m.smelt -o .").exit_code == 0);
  for (const char* name : {"gpt", "charlm_lstm", "wavenet"})
    REQUIRE(run_smelt({"build", example(name), "-o", work}).exit_code == 0);
  write_text_file(work + "/all.c",
                  "#include \"m.h\"\n#include \"gpt.h\"\n#include \"charlm_lstm.h\"\n#include \"wavenet.h\"\n");
  for (const std::vector<std::string>& compiler :
       {std::vector<std::string>{"cc", "-std=c99"}, {"c++", "-x", "c++", "-std=c++11"}}) {
    std::vector<std::string> command = compiler;
    for (const char* flag : {"-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion",
                             "-Werror", "-fsyntax-only", "all.c"})
      command.emplace_back(flag);
    const CommandResult result = run_command(command, {.directory = work});
    CHECK_MESSAGE(result.exit_code == 0, result.err);
  }
  const std::string header = read_text_file(work + "/m.h");
  CHECK(header.find("export `search` writes a sequence, but has no function of a position: its loop puts rows in "
                    "another order") != std::string::npos);
  CHECK(read_text_file(work + "/wavenet.h").find("takes position k - 1 of `x`, the first call none") !=
        std::string::npos);
}

TEST_CASE("the example that speaks gives the samples of `smelt sample`") {
  const std::string work = fresh_directory("embed-speak");
  REQUIRE(run_smelt({"build", example("wavenet"), "-o", work}).exit_code == 0);
  const CommandResult built =
      run_command({"cc", "-std=c99", "-O2", "-I.", "-I" SMELT_SOURCE_DIR, SMELT_SOURCE_DIR "/examples/embed/speak.c",
                   "wavenet.o", "-lm", "-o", "speak"},
                  {.directory = work});
  REQUIRE_MESSAGE(built.exit_code == 0, built.err);
  REQUIRE(run_command({"./speak", "out.wav", "--seed", "0", "--raw", "out.f32"}, {.directory = work}).exit_code == 0);
  const std::string raw = read_text_file(work + "/out.f32");
  std::vector<float> sound(raw.size() / 4);
  std::memcpy(sound.data(), raw.data(), sound.size() * 4);
  REQUIRE(sound.size() == 16000);
  write_floats(work + "/start.npy", std::vector<float>(sound.begin(), sound.begin() + 512), {1, 512});
  const CommandResult sampled = run_smelt({"sample", example("wavenet"), "speak", "--set", "temperature=0.0", "--input",
                                           "start=" + work + "/start.npy", "-o", work + "/out.npy"});
  REQUIRE_MESSAGE(sampled.exit_code == 0, sampled.err);
  const Result<NpyFile> expected = read_npy(work + "/out.npy");
  REQUIRE(expected);
  // The host computes what a level stands for with other roundings; the levels are the same.
  float worst = 0;
  for (size_t k = 0; k < sound.size(); ++k)
    worst = std::max(worst, std::abs(sound[k] - expected->tensor.as<float>()[k]));
  CHECK(worst < 1e-6f);
}

}  // namespace
}  // namespace smelt::test
