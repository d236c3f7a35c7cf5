// A model of a few numbers with its data, for tests of files, runs and processes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/host_tensor.h"
#include "tests/system/run_command.h"

namespace smelt::test {

/// With `epochs 2`; an export `f`, two results from `two`, and a class `y` of each row in a second file.
inline constexpr std::string_view kSmallModel = R"(import std.nn (Dense)
config width = 3
dim B <= 8, X = 3, Class = 4
data d {
  train = npy("x.npy", "y.npy")
  x: f32[X] = field(0)
  y: ix<Class> = field(1)
}
layer Net(x: f32[B, X]) -> f32[B, Class] { x |> hid: Dense{width, act=tanh} |> out: Dense{Class} }
model net = Net
objective loss(x: f32[B, X], y: ix<Class>[B]) updates net { mean(softmax_xent(net(x), y, over=Class)) }
metric size(x: f32[B, X]) = mean(net(x) ^ 2)
train { data d
  batch B = 8, shuffle
  epochs 2
  seed 3
  step loss with adam(lr = 0.01)
}
export f(x: f32[B, X]) -> f32[B, Class] = net(x)
export two(x: f32[B, X]) -> (f32[B, X], f32[B]) { (x * 2, sum(x, over=X)) }
)";

/// `text` with the first `from` replaced; `from` must be there.
std::string replaced(std::string_view text, std::string_view from, std::string_view to);

/// f32[rows, columns] of first, first + 1, ..
HostTensor counted(int64_t rows, int64_t columns, float first);
void write_floats(const std::string& path, const std::vector<float>& values, std::vector<int64_t> shape);
void write_labels(const std::string& path, const std::vector<int32_t>& values);

/// `directory/m.smelt`, x.npy and y.npy of `rows` rows, in.npy of 2 rows for the exports.
void write_small_model(const std::string& directory, std::string_view text = kSmallModel, int64_t rows = 40);

/// `smelt` with arguments separated by blanks, in `directory`.
CommandResult smelt_in(const std::string& directory, std::string_view line, CommandOptions options = {});

/// A shell's command line, with `smelt` as "$0".
CommandResult shell_in(const std::string& directory, const std::string& script);

}  // namespace smelt::test
