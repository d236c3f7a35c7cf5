// Loops that write a sequence: what steps compute of one position is what steps that compute all positions find there,
// in f64 to 1e-12. `by position` makes sure that they do not.
#include <cmath>

#include "tests/numeric/stored_results.h"

namespace smelt::numeric {
namespace {

struct Case {
  std::string name;
  std::vector<std::string> inputs;
};

void write_inputs(const std::string& folder) {
  const auto labels = [](int64_t count) {
    std::vector<int32_t> values;
    for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<int32_t>(mix(7, static_cast<uint32_t>(i)) % 13));
    return values;
  };
  const auto write = [&](const std::string& name, const HostTensor& tensor) {
    REQUIRE(write_npy(folder + name, tensor));
  };
  write("prompt.npy", host_tensor<int32_t>(DType::I32, {3, 4}, labels(12)));
  write("label.npy", host_tensor<int32_t>(DType::I32, {3}, labels(3)));
  write_array(folder + "row.npy", DType::F64, {3, 8}, uniform(71, 24, 1.0));
  write_array(folder + "memory.npy", DType::F64, {3, 5, 8}, uniform(72, 120, 1.0));
}

void check_positions(const Case& each) {
  CAPTURE(each.name);
  const std::string folder = work_folder("generation_" + each.name);
  std::filesystem::copy_file(kSource + "generation.smelt", folder + "model.smelt");
  write_inputs(folder);
  std::string inputs;
  for (const std::string& input : each.inputs) inputs += " --input " + input;
  const std::string run = fmt::format("run model.smelt {} --precision f64 --threads 1{}", each.name, inputs);
  run_smelt(folder, run + " -o one.npy");
  run_smelt(folder, run + " --disable-pass derive_steps -o all.npy");
  const Result<NpyFile> one = read_npy(folder + "one.npy"), all = read_npy(folder + "all.npy");
  REQUIRE((one && all));
  REQUIRE(one->tensor.shape == all->tensor.shape);
  double largest = 0, moves = 0;
  const int64_t count = num_elements(one->tensor.shape).value();
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::abs(element(one->tensor, i) - element(all->tensor, i)));
    moves += element(one->tensor, i) != element(one->tensor, 0) ? 1 : 0;
  }
  CHECK_MESSAGE(largest < 1e-12, fmt::format("{} differs by {}", each.name, largest));
  CHECK_MESSAGE(moves > 0, fmt::format("{} is one number", each.name));
}

TEST_CASE("one position a step is what the whole sequence has there") {
  const Case cases[] = {{"greedy", {"prompt=prompt.npy"}}, {"drawn", {"prompt=prompt.npy"}},
                        {"paged", {"prompt=prompt.npy"}},  {"page", {"prompt=prompt.npy"}},
                        {"onward", {"prompt=prompt.npy"}}, {"logits", {"first=label.npy"}},
                        {"states", {"first=label.npy"}},   {"looks_back", {"first=label.npy"}},
                        {"waves", {"first=row.npy"}},      {"mixture", {"first=row.npy", "memory=memory.npy"}},
                        {"distances", {"first=row.npy"}}};
  for (const Case& each : cases) check_positions(each);
}

/// The layer is at fault, and the user's line comes first.
TEST_CASE("what looks ahead is refused at its line") {
  const std::string folder = work_folder("generation_ahead");
  const auto message_of = [&](std::string_view layer, std::string_view written) {
    std::ofstream(folder + "model.smelt") << fmt::format(
        "import std.nn (Conv1d, LSTM, BiLSTM)\nimport std.sequence (MultiHeadAttention)\ndim B <= 2, T = 6, D = 4\n"
        "layer Net(x: f32[B, T, D]) -> f32[B, T, D] {{\n  {}\n}}\nmodel net = Net\n"
        "export f(first: f32[B, D]) -> f32[B, T, D] {{\n  start[n, t < T, c] = first[n, c]\n"
        "  scan s < T by position with x = start {{\n    y = net(x)\n    now[n, c] = y[n, s, c]\n"
        "    x <- where(index(T) == {}, now, x)\n  }}\n}}\n",
        layer, written);
    const int status =
        std::system(fmt::format("cd '{}' && '{}' check model.smelt > log 2>&1", folder, SMELT_COMMAND).c_str());
    CHECK(status != 0);
    return read_text(folder + "log");
  };
  const auto says = [&](std::string_view layer, std::string_view text, std::string_view written = "s + 1") {
    const std::string message = message_of(layer, written);
    CHECK_MESSAGE(message.find(text) != std::string::npos, message);
    CHECK_MESSAGE(message.find("error: model.smelt:5:") != std::string::npos, message);
  };
  says("x |> MultiHeadAttention{2}", "reads positions behind the one that it computes, in `MultiHeadAttention{2}`");
  says("x |> MultiHeadAttention{2}", "of std/sequence.smelt:");
  // Nothing of them is left at the position of the step, so that the loop itself was at fault.
  says("x |> LSTM{D, reverse=true}", "`scan` begins at the last position, in `LSTM{D, reverse=true}`");
  says("x |> BiLSTM{2}", "`scan` begins at the last position, in `BiLSTM{2}`");
  says("x * 2", "the sequence is read at a position before it is written", "s");  // it stood at no line
  says("flip(x, over=T)", "does not keep positions apart");
  says("a = flip(x, over=T) * 2\n  a + 1", "does not keep positions apart");
  says("x - mean(x, over=T)", "reads all positions of the sequence");
  says("y[n, t < T, c] = x?[n, t + 1, c] * 2\n  y", "reads one position behind the position that it computes");
}

/// Scores without a mask have a value at later positions as well, which no step knows yet.
TEST_CASE("a row of scores is read whole only behind a mask") {
  const std::string folder = work_folder("generation_scores");
  const auto check = [&](std::string_view values) {
    std::ofstream(folder + "model.smelt") << fmt::format(
        "dim B <= 2, T = 6, D = 4\nlayer Net(x: f32[B, L, D]) -> f32[B, L, L] {{\n"
        "  s[n, t, u] = sum[d] x[n, t, d] * x[n, u, d]\n  {}\n}}\nmodel net = Net\n"
        "export f(first: f32[B, D]) -> f32[B, T, D] {{\n  start[n, t < T, c] = first[n, c]\n"
        "  scan s < T - 1 by position with x = start {{\n    y = net(x)\n    now[n, u] = y[n, s, u]\n"
        "    x <- where(index(T) == s + 1, first + mean(now), x)\n  }}\n}}\n",
        values);
    return std::system(fmt::format("cd '{}' && '{}' check model.smelt > log 2>&1", folder, SMELT_COMMAND).c_str());
  };
  CHECK(check("s") != 0);
  CHECK(read_text(folder + "log").find("`gather` reads positions behind the one that it computes") !=
        std::string::npos);
  CHECK(check("y[n, t, u] = where(u <= t, s[n, t, u], 0)\n  y") == 0);
}

}  // namespace
}  // namespace smelt::numeric
