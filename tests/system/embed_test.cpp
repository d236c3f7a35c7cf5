// What `smelt build` writes trains like `smelt train`, and needs neither Smelt nor LLVM nor a C++ library.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <sstream>

#include "api/smelt/compile.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

/// The lines between ```sh and ``` of a document.
std::vector<std::string> shell_lines(const std::string& path) {
  std::vector<std::string> lines;
  std::istringstream text(read_text_file(path));
  bool inside = false;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("```")) {
      inside = line == "```sh";
    } else if (inside) {
      lines.push_back(line);
    }
  }
  return lines;
}

/// Names that `nm -u` lists, without their version.
std::set<std::string> undefined_symbols(const std::string& file) {
  const CommandResult nm = run_command({"nm", "-u", file});
  CHECK_MESSAGE(nm.exit_code == 0, nm.err);
  std::set<std::string> names;
  std::istringstream text(nm.out);
  for (std::string line; std::getline(text, line);) {
    const size_t at = line.find_last_of(' ');
    if (at != std::string::npos) names.insert(line.substr(at + 1, line.find('@', at) - at - 1));
  }
  return names;
}

/// Compiles headers alone, every function of them used or not.
void check_header(const std::string& directory, const std::vector<std::string>& compiler) {
  std::vector<std::string> command = compiler;
  for (const char* flag : {"-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion",
                           "-Werror", "-fsyntax-only", "all.h.c"}) {
    command.emplace_back(flag);
  }
  const CommandResult result = run_command(command, {.directory = directory});
  CHECK_MESSAGE(result.exit_code == 0, fmt::format("{}\n{}", fmt::join(command, " "), result.err));
}

TEST_CASE("the commands of examples/embed/README.md give the same parameters in C, in C++ and with smelt train") {
  if (skip_without_data()) return;
  const std::string work = fresh_directory("embed");
  std::filesystem::create_directory_symlink(SMELT_SOURCE_DIR "/examples", work + "/examples");
  const std::string path = fmt::format("PATH={0}:{0}/examples/embed:{1}", SMELT_BINARY_DIR, std::getenv("PATH"));
  std::string script;
  for (const std::string& line : shell_lines(SMELT_SOURCE_DIR "/examples/embed/README.md")) script += line + "\n";
  const CommandResult result = run_command({"sh", "-ec", script}, {.directory = work, .environment = {path}});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);

  const std::string checkpoint = work + "/out/run/checkpoints/step-60.safetensors";
  CHECK(difference(checkpoint, work + "/out/c.safetensors", "opt/") == "");
  CHECK(difference(checkpoint, work + "/out/cpp.safetensors", "opt/") == "");
  const std::string raw = read_text_file(work + "/out/c.raw"), stored = read_text_file(work + "/out/c.safetensors");
  CHECK(raw.size() == (784 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10) * sizeof(float));
  CHECK(stored.ends_with(raw));

  // A host that takes the likeliest byte at each call writes what `smelt sample` writes.
  CHECK(read_text_file(work + "/out/c.txt").size() > 20);
  CHECK(read_text_file(work + "/out/c.txt") == read_text_file(work + "/out/sample.txt"));

  // What each of the three prints is the same loss.
  const std::vector<double> losses = logged_losses(work + "/out/run", "loss");
  REQUIRE(losses.size() == 60);
  std::istringstream printed(result.out);
  size_t compared = 0;
  for (std::string line; std::getline(printed, line);) {
    int step = 0;
    float loss = 0;
    if (std::sscanf(line.c_str(), "step %d loss %f", &step, &loss) != 2) continue;
    CHECK(loss == static_cast<float>(losses.at(static_cast<size_t>(step - 1))));
    ++compared;
  }
  CHECK(compared == 120);

  SUBCASE("objects and programs need only libc and libm") {
    const std::set<std::string> object = undefined_symbols(work + "/out/mlp.o");
    const std::set<std::string> allowed = {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_"};
    for (const std::string& name : object) CHECK_MESSAGE(allowed.contains(name), name);
    const CommandResult libraries = run_command({"ldd", work + "/out/train_mlp"});
    CHECK(libraries.out.find("libc.so") != std::string::npos);
    for (const char* foreign : {"libstdc++", "LLVM", "libgcc", "smelt", "fmt"})
      CHECK(libraries.out.find(foreign) == std::string::npos);
    CHECK(std::filesystem::file_size(work + "/out/mlp.o") < 200 * 1024);
  }
}

TEST_CASE("headers of the examples compile without a warning as C99 and as C++, all in one file") {
  const std::string work = fresh_directory("headers");
  std::string all;
  for (const char* name : {"mlp", "vae", "gan", "seed_gan", "softmax"}) {
    const CommandResult built = run_smelt({"build", example(name), "-o", work});
    REQUIRE_MESSAGE(built.exit_code == 0, built.err);
    all += fmt::format("#include \"{}.h\"\n", name);
  }
  write_text_file(work + "/all.h.c", all);
  check_header(work, {"cc", "-std=c99"});
  check_header(work, {"c++", "-x", "c++", "-std=c++11"});
  check_header(work, {"c++", "-x", "c++", "-std=c++23"});
}

TEST_CASE("an option of a step line that is infinite is a number of C") {
  const std::string work = fresh_directory("infinite");
  write_text_file(
      work + "/m.smelt",
      replaced(replaced(kSmallModel, "adam(lr = 0.01)", "capped(lr = 0.1, cap = inf, floor = -inf)"), "train { data d",
               "optimiser capped(lr, cap, floor) for (p, g, t) {\n"
               "  p <- p - lr * max(min(g, cap), floor)\n}\ntrain { data d"));
  const CommandResult built = run_smelt({"build", work + "/m.smelt", "-o", work});
  REQUIRE_MESSAGE(built.exit_code == 0, built.err);
  CHECK(read_text_file(work + "/m.h").find(", -HUGE_VAL);") != std::string::npos);
  write_text_file(work + "/all.h.c", "#include \"m.h\"\n");
  check_header(work, {"cc", "-std=c99"});
  check_header(work, {"c++", "-x", "c++", "-std=c++11"});
}

TEST_CASE("names that C keeps for itself, or that the header uses, get an underscore") {
  const std::string work = fresh_directory("names");
  write_text_file(work + "/3d-net.smelt",
                  "import std.nn (Dense)\n"
                  "dim B <= 4, N = 3\n"
                  "layer Net(x: f32[B, N]) -> f32[B, N] { x |> out: Dense{N} }\n"
                  "model net = Net\n"
                  "export init(int: f32[B, N], B_: f32[B, N]) -> f32[B, N] = net(int) + B_\n"
                  "export fade(x: f32[B, N]) = net(x)\nexport fade_in(x: f32[B, N]) = net(x)\n"
                  "export glow_out(x: f32[B, N]) = net(x)\nexport glow(x: f32[B, N]) = net(x)\n"
                  "export class(rows: f32[B, N], run: f32[B, N]) -> f32[B, N] = net(rows) + run\n"
                  "export NULL(not_eq: f32[B, N], offsetof: f32[B, N]) -> f32[B, N] = net(not_eq) + offsetof\n");
  const CommandResult built = run_smelt({"build", work + "/3d-net.smelt", "-o", work});
  REQUIRE_MESSAGE(built.exit_code == 0, built.err);
  write_text_file(work + "/all.h.c", "#include \"3d-net.h\"\n");
  check_header(work, {"cc", "-std=c99"});
  check_header(work, {"c++", "-x", "c++", "-std=c++11"});
  const std::string header = read_text_file(work + "/3d-net.h");
  CHECK(header.find("m_3d_net_init_(void *arena, const m_3d_net_init__in *in") != std::string::npos);
  CHECK(header.find("const float *int_;") != std::string::npos);
}

TEST_CASE("the C wrapper refuses labels outside of their dim") {
  const std::string work = fresh_directory("labels");
  write_text_file(work + "/look.smelt",
                  "dim B <= 8, C = 3, T <= 4\n"
                  "layer L(x: f32[B]) -> f32[B] {\n  param w: f32 = ones()\n  x * w\n}\nmodel net = L\n"
                  "export look(t: f32[C], y: ix<C>[B, T]) -> f32[B, T] = t[y]\n");
  const CommandResult built = run_smelt({"build", work + "/look.smelt", "-o", work});
  REQUIRE_MESSAGE(built.exit_code == 0, built.err);
  write_text_file(work + "/labels.c", R"(#include <stdlib.h>
#include "look.h"
int main(void) {
  void *arena = aligned_alloc(SMELT_ARENA_ALIGNMENT, LOOK_ARENA_BYTES);
  const float t[3] = {10, 20, 30};
  int32_t y[4 * 4] = {0, 1, -7, -7, 2, 0, -7, -7};  /* B = 2, T = 3: the last of a row is no label */
  float out_values[4 * 4];
  look_look_in in = {0};
  look_look_out out;
  y[2] = 2; y[6] = 1;
  in.t = t; in.y = y; in.B = 2; in.T = 3;
  out.look = out_values;
  if (look_init(arena, 1, 10) != SMELT_CALL_OK) return 1;
  if (look_look(arena, &in, &out) != SMELT_CALL_OK) return 2;
  if (out_values[4] != 30 || out_values[6] != 20) return 3;
  y[6] = 3;
  if (look_look(arena, &in, &out) != SMELT_CALL_BAD_LABEL) return 4;
  y[6] = -1;
  if (look_look(arena, &in, &out) != SMELT_CALL_BAD_LABEL) return 5;
  free(arena);
  return 0;
}
)");
  const CommandResult compiled =
      run_command({"cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "labels.c", "look.o", "-lm", "-o", "labels"},
                  {.directory = work});
  REQUIRE_MESSAGE(compiled.exit_code == 0, compiled.err);
  CHECK(run_command({"./labels"}, {.directory = work}).exit_code == 0);
}

TEST_CASE("the C wrapper refuses sizes, rows and pointers out of range and runs nothing") {
  const std::string work = fresh_directory("refuse");
  REQUIRE(run_smelt({"build", example("mlp"), "-o", work}).exit_code == 0);
  write_text_file(work + "/refuse.c", R"(#include <stdlib.h>
#include "mlp.h"
int main(void) {
  static uint8_t images[2 * 784], labels[2] = {1, 10};
  int32_t rows[2] = {0, 1}, bad_rows[2] = {0, 2};
  void *arena = (void *)(((uintptr_t)malloc(MLP_ARENA_BYTES + 64) + 63) / 64 * 64);
  const smelt_arena *header = (const smelt_arena *)arena;
  mlp_iteration_in in, bad;
  mlp_iteration_out out;
  if (mlp_init((char *)arena + 4, 1, 10) != SMELT_CALL_BAD_ARGUMENT) return 1;
  if (mlp_init(arena, 1, 10) != SMELT_CALL_OK) return 2;
  in.loss.column0 = images; in.loss.column1 = labels; in.loss.rows = rows; in.loss.num_rows = 2; in.loss.B = 2;
  bad = in; bad.loss.B = 129;
  if (mlp_iteration(arena, &bad, &out) != SMELT_CALL_BAD_ARGUMENT) return 3;
  bad = in; bad.loss.B = 0;
  if (mlp_loss(arena, &bad.loss, &out.loss) != SMELT_CALL_BAD_ARGUMENT) return 4;
  bad = in; bad.loss.rows = bad_rows;
  if (mlp_iteration(arena, &bad, &out) != SMELT_CALL_BAD_ARGUMENT) return 5;
  bad = in; bad.loss.column1 = 0;
  if (mlp_iteration(arena, &bad, &out) != SMELT_CALL_BAD_ARGUMENT) return 6;
  if (mlp_check_column1(labels, 2) != 1) return 7;
  if (header->iteration != 0 || header->entered != 1) return 8;
  labels[1] = 9;
  if (mlp_check_column1(labels, 2) != -1) return 9;
  if (mlp_iteration(arena, &in, &out) != SMELT_CALL_OK || header->iteration != 1) return 10;
  if (mlp_set_scalar(arena, "loss.momentum", 0.5) != 0 || mlp_set_scalar(arena, "loss.nothing", 0.5) != SMELT_CALL_BAD_ARGUMENT) return 11;
  if (mlp_horizon(60000) != 4690 || mlp_horizon(128) != 10) return 12;
  return 0;
}
)");
  const CommandResult built = run_command(
      {"cc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "refuse.c", "mlp.o", "-lm", "-o", "refuse"},
      {.directory = work});
  REQUIRE_MESSAGE(built.exit_code == 0, built.err);
  CHECK(run_command({"./refuse"}, {.directory = work}).exit_code == 0);
}

TEST_CASE("a host that errs gets a status from every function, under the address sanitizer") {
  const std::string work = fresh_directory("host-errs");
  write_small_model(work, replaced(kSmallModel, "lr = 0.01", "lr = linear(0.01, 0)"));
  write_text_file(work + "/other.smelt",
                  "dim B <= 2\nlayer L(x: f32[B]) -> f32[B] { param w: f32 = ones()\n  x * w }\nmodel net = L\n"
                  "export f(x: f32[B]) -> f32[B] = net(x)\n");
  for (const char* model : {"m", "other"})
    REQUIRE(smelt_in(work, fmt::format("build {}.smelt -o .", model)).exit_code == 0);
  write_text_file(work + "/host.c", R"(#include <math.h>
#include <stdlib.h>
#include "m.h"
#include "other.h"
#define BAD(call) if ((call) != SMELT_CALL_BAD_ARGUMENT) return __LINE__;
#define OTHER(call) if ((call) != SMELT_CALL_OTHER_PROGRAM) return __LINE__;
#define OK(call) if ((call) != SMELT_CALL_OK) return __LINE__;
static void *arena_of(size_t bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }
int main(void) {
  static float x[3 * 8], y[4 * 8], sums[8], twice[3 * 8];
  static int32_t labels[8], rows[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  void *arena = arena_of(M_ARENA_BYTES), *fresh = arena_of(M_ARENA_BYTES), *foreign = arena_of(OTHER_ARENA_BYTES);
  char *shifted = (char *)arena + 8;
  m_f_in in = {0}; m_f_out out = {0};
  m_two_in two_in = {0}; m_two_out two_out = {0};
  m_loss_in loss_in = {0}; m_loss_out loss_out;
  m_eval_loss_in eval_in = {0}; m_eval_loss_out eval_out;
  m_eval_size_in size_in = {0}; m_eval_size_out size_out;
  m_iteration_in it_in = {0}; m_iteration_out it_out;
  memset(fresh, 0, M_ARENA_BYTES);
  in.x = x; in.B = 8; out.f = y;
  two_in.x = x; two_in.B = 8; two_out.two0 = twice; two_out.two1 = sums;
  loss_in.column0 = x; loss_in.column1 = labels; loss_in.rows = rows; loss_in.num_rows = 8; loss_in.B = 8;
  it_in.loss = loss_in;
  eval_in.column0 = x; eval_in.column1 = labels; eval_in.rows = rows; eval_in.num_rows = 8; eval_in.B = 8;
  size_in.column0 = x; size_in.rows = rows; size_in.num_rows = 8; size_in.B = 8;
  BAD(m_init(NULL, 1, 10)) BAD(m_init(shifted, 1, 10)) 
  OTHER(m_f(fresh, &in, &out))
  OK(m_init(arena, 1, 0)) OK(m_f(arena, &in, &out)) BAD(m_loss(arena, &loss_in, &loss_out)) BAD(m_iteration(arena, &it_in, &it_out))
  OK(m_init(arena, 1, 10)) OK(other_init(foreign, 1, 10))
#define ALL(check, a) \
  check(m_f(a, &in, &out)) check(m_two(a, &two_in, &two_out)) check(m_loss(a, &loss_in, &loss_out)) \
  check(m_eval_loss(a, &eval_in, &eval_out)) check(m_eval_size(a, &size_in, &size_out)) \
  check(m_iteration(a, &it_in, &it_out)) check(m_advance(a)) check(m_set_scalar(a, "loss.lr.linear.a", 0.9))
  ALL(BAD, NULL) ALL(BAD, shifted) ALL(OTHER, fresh) ALL(OTHER, foreign)
  BAD(m_f(arena, NULL, &out)) BAD(m_f(arena, &in, NULL)) BAD(m_f(arena, NULL, NULL))
  BAD(m_two(arena, NULL, &two_out)) BAD(m_two(arena, &two_in, NULL))
  BAD(m_loss(arena, NULL, &loss_out)) BAD(m_loss(arena, &loss_in, NULL))
  BAD(m_eval_loss(arena, NULL, &eval_out)) BAD(m_eval_loss(arena, &eval_in, NULL))
  BAD(m_iteration(arena, NULL, &it_out)) BAD(m_iteration(arena, &it_in, NULL)) BAD(m_set_scalar(arena, NULL, 1))
  BAD(m_set_scalar(arena, "loss.lr.linear.a", NAN))
  in.x = NULL; BAD(m_f(arena, &in, &out)) in.x = x;
  out.f = NULL; BAD(m_f(arena, &in, &out)) out.f = y;
  two_out.two1 = NULL; BAD(m_two(arena, &two_in, &two_out)) two_out.two1 = sums;
  loss_in.rows = NULL; BAD(m_loss(arena, &loss_in, &loss_out)) loss_in.rows = rows;
  m_order(1, 0, 8, NULL);
  if (m_check_column1(NULL, 8) != 0) return __LINE__;
  if (((smelt_arena *)arena)->iteration != 0 || ((smelt_arena *)arena)->entered != 1) return __LINE__; /* nothing ran */
  ALL(OK, arena)
  free(arena); free(fresh); free(foreign);
  return 0;
}
)");
  const CommandResult built =
      run_command({"cc", "-std=c11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined",
                   "-Wall", "-Wextra", "host.c", "m.o", "other.o", "-lm", "-o", "host"},
                  {.directory = work});
  REQUIRE_MESSAGE(built.exit_code == 0, built.err);
  const CommandResult run = run_command({"./host"}, {.directory = work});
  CHECK_MESSAGE(run.exit_code == 0, fmt::format("line {} (modulo 256) of host.c: {}", run.exit_code, run.err));
}

TEST_CASE("a step that a host calls alone advances no schedule; with `advance` it is the iteration") {
  const std::string work = fresh_directory("advance");
  write_small_model(work, replaced(kSmallModel, "lr = 0.01", "lr = linear(0.1, 0)"));
  REQUIRE(smelt_in(work, "build m.smelt -o .").exit_code == 0);
  write_text_file(work + "/host.c", R"(#include <stdlib.h>
#include "m.h"
enum { ITERATION, ALONE, ADVANCED };
static void train(void *arena, int how) {
  static float x[3 * 8] = {1, -1, 2, 0.5f, 3, -2};
  static int32_t labels[8] = {0, 1, 2, 3, 0, 1, 2, 3}, rows[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  m_iteration_in in; m_iteration_out out;
  int k;
  memset(arena, 0, M_ARENA_BYTES);
  if (m_init(arena, 1, 10) != 0) exit(90);
  in.loss.column0 = x; in.loss.column1 = labels; in.loss.rows = rows; in.loss.num_rows = 8; in.loss.B = 8;
  for (k = 0; k < 6; ++k) {
    if ((how == ITERATION ? m_iteration(arena, &in, &out) : m_loss(arena, &in.loss, &out.loss)) != 0) exit(91);
    if (how == ADVANCED && m_advance(arena) != 0) exit(92);
  }
}
static int same(const void *a, const void *b) {
  const smelt_variable *v;
  for (v = m_params; v->name != NULL; ++v) {
    size_t count = 1; int axis;
    for (axis = 0; axis < v->rank; ++axis) count *= (size_t)v->shape[axis];
    if (memcmp((const char *)a + v->offset, (const char *)b + v->offset, count * sizeof(float)) != 0) return 0;
  }
  return 1;
}
int main(void) {
  void *arenas[3]; int k;
  for (k = 0; k < 3; ++k) { arenas[k] = aligned_alloc(64, (M_ARENA_BYTES + 63) / 64 * 64); train(arenas[k], k); }
  if (!same(arenas[ITERATION], arenas[ADVANCED])) return 1;
  if (same(arenas[ITERATION], arenas[ALONE])) return 2; /* the rate never fell */
  return ((smelt_arena *)arenas[ALONE])->iteration != 0 || ((smelt_arena *)arenas[ADVANCED])->iteration != 6;
}
)");
  const CommandResult built =
      run_command({"cc", "-std=c11", "-O1", "host.c", "m.o", "-lm", "-o", "host"}, {.directory = work});
  REQUIRE_MESSAGE(built.exit_code == 0, built.err);
  CHECK(run_command({"./host"}, {.directory = work}).exit_code == 0);
}

TEST_CASE("assembly and LLVM IR of a program are one file each that tools read") {
  const std::string work = fresh_directory("texts");
  for (const char* kind : {"asm", "llvm-ir"}) {
    const CommandResult built =
        run_smelt({"build", example("vae"), "-o", work, fmt::format("--emit={}", kind), "--cpu", "x86-64-v3"},
                  {.directory = work});
    REQUIRE_MESSAGE(built.exit_code == 0, built.err);
  }
  const CommandResult assembled = run_command({"as", "-o", work + "/vae.o", work + "/vae.s"});
  CHECK_MESSAGE(assembled.exit_code == 0, assembled.err);
  const std::string ir = read_text_file(work + "/vae.ll"), begins = "source_filename";
  CHECK(ir.find(begins) == ir.rfind(begins));
  CHECK(ir.find("@smelt_vae_step_neg_elbo(") != std::string::npos);
}

TEST_CASE("the object file is what the JIT loads, and building twice gives the same bytes") {
  const std::string work = fresh_directory("same-object");
  for (const char* name : {"mlp", "vae", "gan"}) {
    for (const char* twice : {"a", "b"})
      REQUIRE(run_smelt({"build", example(name), "-o", fmt::format("{}/{}", work, twice)}).exit_code == 0);
    for (const char* suffix : {".o", ".h"}) {
      CHECK(read_text_file(fmt::format("{}/a/{}{}", work, name, suffix)) ==
            read_text_file(fmt::format("{}/b/{}{}", work, name, suffix)));
    }
    const ModelOptions options;
    const Result<CheckedModel> checked = check_file(example(name), options);
    REQUIRE(checked);
    const auto compiled = compile(*checked, options);
    REQUIRE(compiled);
    const std::vector<char>& loaded = (*compiled)->program.object;
    CHECK(std::string(loaded.begin(), loaded.end()) == read_text_file(fmt::format("{}/a/{}.o", work, name)));
  }
}

}  // namespace
}  // namespace smelt::test
