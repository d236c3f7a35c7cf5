// Commands for who writes model files: check of several, of the standard input and while files change; who owns what;
// fmt.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tests/system/run_command.h"

namespace smelt::test {
namespace {

const std::string kSmelt = SMELT_BINARY_DIR "/smelt";

std::string model_text(std::string_view loss) {
  return fmt::format(
      "import std.nn (Dense)\ndim B <= 8, X = 4\nlayer Net(x: f32[B, X]) -> f32[B, X] {{ x |> out: Dense{{X}} "
      "}}\nmodel net = Net\n"
      "export run(x: f32[B, X]) = {}\n",
      loss);
}

CommandResult shell(const std::string& script, const std::string& directory) {
  return run_command({"sh", "-c", script}, {.directory = directory});
}

TEST_CASE("check takes several files, and goes on behind a mistake") {
  const std::string directory = fresh_directory("check-several");
  write_text_file(directory + "/a.smelt", model_text("net(x)"));
  write_text_file(directory + "/b.smelt", model_text("nett(x)"));
  const CommandResult both = run_smelt({"check", "b.smelt", "a.smelt", "a.smelt"}, {.directory = directory});
  CHECK(both.exit_code == 1);
  CHECK(both.err.find("unknown name `nett`") != std::string::npos);
  CHECK(both.out.find("a.smelt: 20 parameters") != std::string::npos);
  CHECK(both.out.find("net.out.W") == std::string::npos);  // of several, a line each
  CHECK(run_smelt({"check", "a.smelt"}, {.directory = directory}).out.find("net.out.W") != std::string::npos);
}

TEST_CASE("check reads the standard input") {
  const std::string directory = fresh_directory("check-stdin");
  write_text_file(directory + "/a.smelt", model_text("nett(x)"));
  const CommandResult wrong = shell(kSmelt + " check - < a.smelt", directory);
  CHECK(wrong.exit_code == 1);
  CHECK(wrong.err.find("<stdin>:5:28") != std::string::npos);
  CHECK(run_smelt({"check", "-", "-"}).exit_code == 2);
  CHECK(run_smelt({"check", "-", "--watch"}).exit_code == 2);
}

TEST_CASE("check watches a file") {
  const std::string directory = fresh_directory("check-watch");
  write_text_file(directory + "/a.smelt", model_text("nett(x)"));
  write_text_file(directory + "/good", model_text("net(x)"));
  // Ends by itself when the mended file has been checked; 20 s are for a busy machine.
  const CommandResult seen = shell(kSmelt +
                                       " check --watch a.smelt > out 2> err & pid=$!; for i in $(seq 200); do grep -q "
                                       "waiting err && break; sleep 0.1; done; "
                                       "cp good new; mv new a.smelt; for i in $(seq 200); do grep -q parameters out && "
                                       "break; sleep 0.1; done; kill $pid",
                                   directory);
  CHECK(read_text_file(directory + "/err").find("unknown name `nett`") != std::string::npos);
  CHECK(read_text_file(directory + "/out").find("a.smelt: 20 parameters") != std::string::npos);
}

TEST_CASE("check --ownership says who updates what") {
  const CommandResult gan = run_smelt({"check", example("gan"), "--ownership"});
  CHECK(gan.exit_code == 0);
  CHECK(gan.out.find("parameters of               d_loss       g_loss") != std::string::npos);
  const nlohmann::json json = nlohmann::json::parse(run_smelt({"check", example("gan"), "--json"}).out);
  for (const nlohmann::json& row : json["ownership"]) {
    const bool critic = row["name"] == "D";
    CHECK(row["objectives"]["d_loss"] == (critic ? "updates" : "reads"));
    CHECK(row["objectives"]["g_loss"] == (critic ? "reads" : "updates"));
  }
  CHECK(json["ownership"].size() == 2);
}

TEST_CASE("what a loss does not read is neither read nor a constant of it") {
  const std::string directory = fresh_directory("ownership");
  write_text_file(directory + "/two.smelt", R"(import std.nn (Dense)
dim B <= 8, X = 4
layer Two(x: f32[B, X]) -> (f32[B, X], f32[B, X]) { (x |> a: Dense{X}, x |> b: Dense{X}) }
model two = Two
model head = Dense{X}
objective both(x: f32[B, X]) updates two {
  (p, q) = two(x)
  mean((p - q) ^ 2)
}
objective first(x: f32[B, X]) updates head {
  (p, _q) = two(x)
  mean((head(stop(p)) - x) ^ 2)
}
data d {
  train = csv("d.csv")
  x: f32[X] = row()
}
train { data d
  batch B = 8
  steps 1
  step both with sgd(lr = 0.1)
  step first with sgd(lr = 0.1)
}
)");
  const nlohmann::json json =
      nlohmann::json::parse(run_smelt({"check", "two.smelt", "--json"}, {.directory = directory}).out);
  for (const nlohmann::json& row : json["ownership"]) {
    const std::string name = row["name"];
    if (name == "two.a") CHECK(row["objectives"]["first"] == "as constant");
    if (name == "two.b") CHECK(row["objectives"]["first"] != "as constant");
    if (name == "two.b") CHECK(row["objectives"]["both"] == "updates");
  }
  CHECK(json["ownership"].size() == 3);
}

TEST_CASE("fmt formats in place, tells, and filters") {
  const std::string directory = fresh_directory("fmt");
  const std::string good = model_text("net(x)"), loose = model_text("net( x )");
  write_text_file(directory + "/a.smelt", loose);
  write_text_file(directory + "/wrong.smelt", "dim B <= (8\n");
  const CommandResult told = run_smelt({"fmt", "--check", "a.smelt"}, {.directory = directory});
  CHECK(told.exit_code == 1);
  CHECK(told.out == "a.smelt\n");
  CHECK(read_text_file(directory + "/a.smelt") == loose);
  const CommandResult filtered = shell(kSmelt + " fmt - < a.smelt", directory);
  CHECK(filtered.exit_code == 0);
  CHECK(filtered.out == good);
  const CommandResult done = run_smelt({"fmt", "wrong.smelt", "a.smelt"}, {.directory = directory});
  CHECK(done.exit_code == 1);  // of the file that is left alone
  CHECK(done.err.find("E0007") != std::string::npos);
  CHECK(read_text_file(directory + "/wrong.smelt") == "dim B <= (8\n");
  CHECK(read_text_file(directory + "/a.smelt") == good);
  CHECK(run_smelt({"fmt", "--check", "a.smelt"}, {.directory = directory}).exit_code == 0);
}

}  // namespace
}  // namespace smelt::test
