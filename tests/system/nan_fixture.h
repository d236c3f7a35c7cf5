// A small model with something planted in it, trained in this process until a NaN or an infinity stops it.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/smelt/compile.h"
#include "api/smelt/trace_nonfinite.h"
#include "runtime/session.h"
#include "runtime/trainer.h"
#include "tests/system/run_command.h"

namespace smelt::test {

/// What differs between the models of the table; the rest is a two-layer net on 20 rows of 3 numbers.
struct Planted {
  std::string declarations = "";  // at file level
  std::string net = "x |> hidden: Dense{4, act=relu} |> out: Dense{N}";
  std::string body;  // of the objective: `y` is net(x)
  std::string step = "sgd(lr = 0.01)";
  std::string source = "csv(\"points.csv\")";
  int epochs = 8;
};

inline std::string model_text(const Planted& planted) {
  return fmt::format(
      "import std.nn (Dense, BatchNorm)\n"
      "dim B <= 8, N = 3\n"
      "data points {{\n  train = {}\n  x: f32[N] = {}\n}}\n{}"
      "layer Net(x: f32[B, N]) -> f32[B, N] {{ {} }}\n"
      "model net = Net\n"
      "objective loss(x: f32[B, N]) updates net {{\n  y = net(x)\n  {}\n}}\n"
      "train {{\n  data points\n  batch B = 8\n  epochs {}\n  step loss with {}\n}}\n",
      planted.source, planted.source.starts_with("csv") ? "row()" : "field(0)", planted.declarations, planted.net,
      planted.body, planted.epochs, planted.step);
}

/// Where points.csv and the .npy files of the table are.
const std::string& nan_directory();

struct Stopped {
  CheckedModel checked;
  ModelOptions options;
  std::unique_ptr<CompiledModel> model;
  std::unique_ptr<Session> session;
  std::vector<Dataset> data;
  std::string run;  // its directory
  std::optional<Diagnostic> diagnostic;
  std::optional<Error> error;  // what stopped it; empty when it went through
  std::optional<TrainSummary> summary;

  std::string place() const { return diagnostic ? std::string(checked.sources->text(diagnostic->span)) : ""; }
  std::string text() const {
    return diagnostic ? render(*diagnostic, *checked.sources) : error ? error->message : "not stopped";
  }
};

struct TrainHow {
  ModelOptions options = {};
  bool check_nan = false;
  int64_t stop_after = -1;
};

/// Trains from the start in a fresh run directory called `name`.
std::unique_ptr<Stopped> train_planted(const std::string& name, const std::string& text, const TrainHow& how = {});

}  // namespace smelt::test
