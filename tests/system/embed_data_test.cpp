// C hosts that read data as `smelt train` does: several data sections, and batches of like length.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <sstream>

#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

constexpr std::string_view kTwoSections = R"(import std.nn (Dense)
dim B <= 8, X = 4
data summer {
  train = npy("summer.npy")
  warm: f32[X] = field(0)
}
data winter {
  train = npy("winter.npy")
  cold: f32[X] = field(0)
}
layer Net(x: f32[B, X]) -> f32[B, X] { x |> hid: Dense{6, act=tanh} |> out: Dense{X} }
model net = Net
objective loss(warm: f32[B, X], cold: f32[B, X]) updates net { mean((net(warm) - cold) ^ 2) }
objective colder(cold: f32[B, X]) updates net { mean(net(cold) ^ 2) }
train {
  data summer
  data winter
  batch B = 8, shuffle
  epochs 6
  seed 3
  step loss with adam(lr = cosine(0.02, 0))
  step colder with sgd(lr = 0.01)
}
)";

/// 43 and 28 rows: both have rests, which wait for the next order.
constexpr std::string_view kTwoSectionsHost = R"(#include <stdio.h>
#include <stdlib.h>
#include "two.h"

static float warm[43 * 4], cold[28 * 4];
static int32_t order[43], order_winter[28];

static void read_rows(const char *name, float *rows, size_t count) {
  FILE *file = fopen(name, "rb");
  if (file == NULL || fread(rows, sizeof *rows, count, file) != count) exit(1);
  fclose(file);
}

/* Batch number k of each section. */
static const int32_t *batch(int64_t k) {
  const int64_t per_epoch = 43 / TWO_BATCH;
  if (k % per_epoch == 0) two_order(TWO_SEED, (uint32_t)(k / per_epoch), 43, order);
  return order + k % per_epoch * TWO_BATCH;
}
static const int32_t *batch_of_winter(int64_t k) {
  const int64_t per_epoch = 28 / TWO_BATCH;
  if (k % per_epoch == 0) two_order_winter(TWO_SEED, (uint32_t)(k / per_epoch), 28, order_winter);
  return order_winter + k % per_epoch * TWO_BATCH;
}

int main(void) {
  void *arena = aligned_alloc(SMELT_ARENA_ALIGNMENT, two_arena_bytes());
  const int64_t steps = two_horizon(43);
  int32_t all_of_a_call[8], all_of_another[8];
  two_iteration_in in;
  two_iteration_out out;
  int64_t k;
  int i;
  read_rows("summer.raw", warm, 43 * 4);
  read_rows("winter.raw", cold, 28 * 4);
  if (two_init(arena, TWO_SEED, steps) != SMELT_CALL_OK) return 2;
  in.loss.column0 = warm; in.loss.column1 = cold; in.loss.num_rows = 43; in.loss.num_rows_winter = 28; in.loss.B = TWO_BATCH;
  in.colder.column1 = cold; in.colder.num_rows_winter = 28; in.colder.B = TWO_BATCH;
  for (k = 0; k < steps; ++k) {
    /* Two calls take a batch each; an order that ends between them is made anew for the second. */
    const int32_t *rows = batch(2 * k);
    for (i = 0; i < 8; ++i) all_of_a_call[i] = rows[i];
    rows = batch_of_winter(2 * k);
    for (i = 0; i < 8; ++i) all_of_another[i] = rows[i];
    in.loss.rows = all_of_a_call;
    in.loss.rows_winter = all_of_another;
    batch(2 * k + 1);
    in.colder.rows_winter = batch_of_winter(2 * k + 1);
    if (two_iteration(arena, &in, &out) != SMELT_CALL_OK) return 3;
    printf("step %.9g %.9g\n", (double)out.loss.loss, (double)out.colder.loss);
  }
  in.loss.num_rows_winter = 20;  /* some row of a batch is beyond */
  for (i = 0; i < 8; ++i) all_of_another[i] = 20 + i;
  i = two_iteration(arena, &in, &out) == SMELT_CALL_BAD_ARGUMENT ? 0 : 4;
  free(arena);
  return i;
}
)";

/// The numbers behind `step` in what a host prints, column by column.
std::vector<std::vector<float>> printed_losses(const std::string& text, size_t columns) {
  std::vector<std::vector<float>> losses(columns);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    for (std::vector<float>& column : losses) {
      words >> word;
      column.push_back(std::stof(word));
    }
  }
  return losses;
}

void check_losses(const std::vector<float>& host, const std::string& run, std::string_view objective) {
  const std::vector<double> trained = logged_losses(run, objective);
  REQUIRE(host.size() == trained.size());
  REQUIRE(host.size() > 10);
  for (size_t i = 0; i < host.size(); ++i) CHECK_MESSAGE(host[i] == static_cast<float>(trained[i]), i);
}

CommandResult build_and_run(const std::string& work, const std::string& name, std::string_view host) {
  write_text_file(work + "/host.c", host);
  const CommandResult built = smelt_in(work, fmt::format("build {}.smelt -o .", name));
  REQUIRE_MESSAGE(built.exit_code == 0, built.err);
  const CommandResult compiled =
      run_command({"cc", "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", "-fsanitize=address,undefined",
                   "-fno-sanitize-recover=all", "host.c", name + ".o", "-lm", "-o", "host"},
                  {.directory = work});
  REQUIRE_MESSAGE(compiled.exit_code == 0, compiled.err);
  return run_command({work + "/host"}, {.directory = work});
}

std::vector<float> some_floats(size_t count, float scale) {
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) values.push_back(scale * static_cast<float>((i * 37) % 101) / 101 - 0.5F);
  return values;
}

void write_rows(const std::string& path, const std::vector<float>& values) {
  write_floats(path + ".npy", values, {static_cast<int64_t>(values.size()) / 4, 4});
  write_text_file(path + ".raw", {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
}

TEST_CASE("a C host trains on two data sections as smelt train does") {
  const std::string work = fresh_directory("embed-sections");
  write_text_file(work + "/two.smelt", kTwoSections);
  write_rows(work + "/summer", some_floats(43 * 4, 1));
  write_rows(work + "/winter", some_floats(28 * 4, 2));
  const CommandResult host = build_and_run(work, "two", kTwoSectionsHost);
  REQUIRE_MESSAGE(host.exit_code == 0, host.err);
  CHECK(read_text_file(work + "/two.h").find("of all rows of the data section winter: ") != std::string::npos);
  const CommandResult trained = smelt_in(work, "train two.smelt -o run --threads 1");
  REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
  const std::vector<std::vector<float>> losses = printed_losses(host.out, 2);
  check_losses(losses[0], work + "/run", "loss");
  check_losses(losses[1], work + "/run", "colder");
}

constexpr std::string_view kLines = R"(import std.nn (Embedding, LSTM, Dense)
dim B <= 4, T <= 13, Byte = 128
data names {
  train = lines("names.txt", length = T, ends = 1)
  name: ix<Byte>[T] = field(0)
  letters: i32 = field(1)
}
layer Net(x: ix<Byte>[B, L]) -> f32[B, L, Byte] { x |> Embedding{Byte, 6} |> LSTM{6} |> Dense{Byte} }
model net = Net
objective loss(name: ix<Byte>[B, T], letters: i32[B]) updates net {
  before[n, t < T] = name?[n, t - 1]
  masked_mean(softmax_xent(net(before), name, over=Byte), mask_of(letters + 1, over=T))
}
train { data names
  batch B = 4, shuffle, bucket = 3
  epochs 3
  seed 3
  step loss with adam(lr = 0.02)
}
)";

constexpr std::string_view kLinesHost = R"(#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "names.h"

#define ROWS 30
static uint8_t text[ROWS][13];
static int32_t lengths[ROWS], order[ROWS], scratch[3 * ROWS];

int main(void) {
  void *arena = aligned_alloc(SMELT_ARENA_ALIGNMENT, names_arena_bytes());
  const int64_t steps = names_horizon(ROWS), per_epoch = (ROWS + NAMES_BATCH - 1) / NAMES_BATCH;
  names_iteration_in in;
  names_iteration_out out;
  int64_t k;
  char line[64];
  int row;
  FILE *file = fopen("names.txt", "r");
  for (row = 0; row < ROWS; ++row) {
    if (fgets(line, sizeof line, file) == NULL) return 1;
    lengths[row] = (int32_t)strcspn(line, "\n");
    memcpy(text[row], line, (size_t)lengths[row]);
  }
  fclose(file);
  if (names_init(arena, NAMES_SEED, steps) != SMELT_CALL_OK) return 2;
  for (k = 0; k < steps; ++k) {
    const int64_t begin = k % per_epoch * NAMES_BATCH;
    if (begin == 0) names_order(NAMES_SEED, (uint32_t)(k / per_epoch), ROWS, lengths, order, scratch);
    in.loss.column0 = text[0];
    in.loss.column1 = lengths;
    in.loss.num_rows = ROWS;
    in.loss.rows = order + begin;
    in.loss.B = ROWS - begin < NAMES_BATCH ? ROWS - begin : NAMES_BATCH;
    in.loss.T = smelt_longest(lengths, in.loss.rows, in.loss.B) + 1;
    if (names_iteration(arena, &in, &out) != SMELT_CALL_OK) return 3;
    printf("step %.9g\n", (double)out.loss.loss);
  }
  free(arena);
  return 0;
}
)";

TEST_CASE("a C host makes the batches of like length that smelt train makes") {
  const std::string work = fresh_directory("embed-buckets");
  write_text_file(work + "/names.smelt", kLines);
  std::string lines;
  for (int row = 0; row < 30; ++row)
    lines += std::string(static_cast<size_t>(1 + row * 7 % 12), static_cast<char>('a' + row % 7)) + "\n";
  write_text_file(work + "/names.txt", lines);
  const CommandResult host = build_and_run(work, "names", kLinesHost);
  REQUIRE_MESSAGE(host.exit_code == 0, host.err);
  const CommandResult trained = smelt_in(work, "train names.smelt -o run --threads 1");
  REQUIRE_MESSAGE(trained.exit_code == 0, trained.err);
  check_losses(printed_losses(host.out, 1)[0], work + "/run", "loss");
}

}  // namespace
}  // namespace smelt::test
