// The command line as a user meets it: exit codes and messages for whatever can be typed wrong, missing, damaged or stopped.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "tests/system/run_command.h"

namespace smelt::test {
namespace {

/// Files that the rows below name: made once, in one directory in which all commands run.
const std::string& playground() {
  static const std::string directory = [] {
    const std::string path = fresh_directory("cli");
    write_text_file(path + "/tiny.smelt",
                    "import std.nn (Dense)\n"
                    "config width = 4\n"
                    "dim B <= 8, N = 3\n"
                    "data points {\n"
                    "  train = csv(\"points.csv\")\n"
                    "  x: f32[N] = row()\n"
                    "}\n"
                    "layer Net(x: f32[B, N]) -> f32[B, N] { x |> hidden: Dense{width, act=relu} |> out: Dense{N} }\n"
                    "model net = Net\n"
                    "objective loss(x: f32[B, N]) updates net { mean((net(x) - x)^2) }\n"
                    "train {\n"
                    "  data points\n"
                    "  batch B = 8\n"
                    "  steps 100000000\n"
                    "  step loss with sgd(lr = 0.01)\n"
                    "}\n"
                    "export out(x: f32[B, N]) -> f32[B, N] = net(x)\n");
    std::string points = "a,b,c\n";
    for (int i = 0; i < 20; ++i) points += fmt::format("{}.5,{},{}.25\n", i % 3, i % 5, i % 2);
    write_text_file(path + "/points.csv", points);
    write_text_file(path + "/broken.smelt", "model net = Nothing\n");
    write_text_file(path + "/garbage.smelt", std::string("\x7f\x45LF\0\xff\xfe", 7));
    write_text_file(path + "/garbage.safetensors", "PK\x03\x04 this is no safetensors file at all");
    write_text_file(path + "/a_file", "in the way\n");
    std::filesystem::create_directories(path + "/empty");
    for (const char* run : {"run", "damaged"}) {
      const CommandResult made = run_smelt({"train", "tiny.smelt", "-o", run, "--steps", "3", "--threads", "1"}, {.directory = path});
      REQUIRE_MESSAGE(made.exit_code == 0, made.err);
    }
    std::string bytes = read_text_file(path + "/damaged/checkpoints/step-3.safetensors");
    bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 0x10);
    write_text_file(path + "/damaged/checkpoints/step-3.safetensors", bytes);
    return path;
  }();
  return directory;
}

struct Row {
  std::string line;  // arguments, separated by blanks
  int exit_code = 0;
  std::string fragment;  // of what is printed
};

void check(const Row& row, const CommandOptions& options = {}) {
  CommandOptions here = options;
  here.directory = playground();
  std::vector<std::string> arguments;
  std::istringstream words(row.line);
  for (std::string word; words >> word;) arguments.push_back(word);
  const CommandResult result = run_smelt(arguments, here);
  const std::string shown = fmt::format("smelt {}\nstdout: {}stderr: {}", row.line, result.out, result.err);
  CHECK_MESSAGE(result.exit_code == row.exit_code, shown);
  CHECK_MESSAGE((result.out + result.err).find(row.fragment) != std::string::npos, shown);
  CHECK_MESSAGE(shown.find("internal error") == std::string::npos, shown);
}

TEST_CASE("what is typed wrong: exit 2, and what would be right") {
  for (const Row& row : std::vector<Row>{
           {"", 2, "`smelt --help` lists the commands"},
           {"trian tiny.smelt", 2, "did you mean `train`"},
           {"lsp", 2, "not supported yet"},
           {"--verbos", 2, "unknown flag `--verbos`"},
           {"train", 2, "`smelt train` needs FILE"},
           {"train tiny.smelt --thread 2", 2, "did you mean `--threads`"},
           {"train tiny.smelt --threads", 2, "--threads needs a value"},
           {"train tiny.smelt --threads 0", 2, "--threads: `0` is not a whole number from 1 to 1024"},
           {"train tiny.smelt --threads -1", 2, "--threads: `-1` is not a whole number from 1 to 1024"},
           {"train tiny.smelt --threads 1000000000", 2, "from 1 to 1024"},
           {"train tiny.smelt --steps abc", 2, "--steps: `abc` is not a whole number from 1 to"},
           {"train tiny.smelt --steps 1.5", 2, "--steps: `1.5` is not a whole number"},
           {"train tiny.smelt --steps 0", 2, "--steps: `0` is not a whole number from 1 to"},
           {"train tiny.smelt --seed 18446744073709551616", 2, "from 0 to 18446744073709551615"},
           {"train tiny.smelt --seed -1", 2, "--seed: `-1` is not"},
           {"train tiny.smelt --batch 0", 2, "--batch: `0` is not a whole number from 1 to"},
           {"train tiny.smelt --epochs 0", 2, "--epochs: `0`"},
           {"bench tiny.smelt --warmup -2", 2, "--warmup: `-2`"},
           {"train tiny.smelt --precision f31", 2, "use f32 or f64"},
           {"train tiny.smelt --cpu pentium", 2, "x86-64-v3"},
           {"train tiny.smelt --set width", 2, "write --set NAME=VALUE"},
           {"train tiny.smelt --data points", 2, "write --data NAME=DIR"},
           {"train tiny.smelt --resume", 2, "give it as -o RUNDIR"},
           {"train tiny.smelt --resume --force -o run", 2, "leave one of them out"},
           {"train tiny.smelt --resume --init x.safetensors -o run", 2, "leave one of them out"},
           {"train tiny.smelt --partial -o new", 2, "--init FILE"},
           {"build tiny.smelt -o built --emit=objj", 2, "did you mean `obj`"},
           {"dump tiny.smelt --stage lop", 2, "unknown stage `lop`"},
           {"eval run --data points=. --split trian", 2, "did you mean `train`"},
           {"run run ouut -o o.npy", 2, "has no export `ouut`"},
           {"run run out -o o.npy --input x", 2, "write --input x=FILE.npy"},
           {"sample run out -o o.npy", 2, "drawn from"},
           {"debug", 2, "no debug tool is named"},
           {"debug grads tiny.smelt --wieghts x -o g", 2, "did you mean `--weights`"},
           {"explain E9999", 2, "E9999"},
       }) {
    check(row);
  }
}

TEST_CASE("a model file with mistakes: exit 1 and a place") {
  for (const Row& row : std::vector<Row>{
           {"check broken.smelt", 1, "broken.smelt:1:"},
           {"train broken.smelt", 1, "Nothing"},
           {"train tiny.smelt --set widht=3", 1, "did you mean `width`"},
           {"train tiny.smelt --set width=many", 1, "width"},
           {"check garbage.smelt", 1, "garbage.smelt"},
       }) {
    check(row);
  }
}

TEST_CASE("files that are missing, of another kind or damaged: exit 3 and their name") {
  for (const Row& row : std::vector<Row>{
           {"check nowhere.smelt", 3, "nowhere.smelt"},
           {"train nowhere.smelt", 3, "No such file"},
           {"check empty", 3, "empty"},
           {"check /dev/null/x.smelt", 3, "/dev/null/x.smelt"},
           {"train tiny.smelt --data points=nowhere -o new", 3, "points.csv"},
           {"train tiny.smelt --resume -o empty", 3, "holds no run"},
           {"train tiny.smelt --resume -o nowhere", 3, "holds no run"},
           {"train tiny.smelt --resume -o damaged --steps 5", 3, "damaged"},
           {"train tiny.smelt --resume -o run --seed 9 --steps 5", 3, "give the same `--seed`"},
           {"train tiny.smelt --resume -o run --set width=5 --steps 5", 3, "cannot resume"},
           {"train tiny.smelt --init nowhere.safetensors -o new", 3, "nowhere.safetensors"},
           {"train tiny.smelt --init garbage.safetensors -o new", 3, "garbage.safetensors"},
           {"eval tiny.smelt --weights empty", 3, "empty"},
           {"eval tiny.smelt --weights damaged/checkpoints/step-3.safetensors", 3, "damaged"},
           {"eval damaged", 3, "damaged"},
           {"run run out -o o.npy --input x=nowhere.npy", 3, "nowhere.npy"},
           {"run run out -o o.npy --input x=a_file", 3, "a_file"},
       }) {
    check(row);
  }
}

TEST_CASE("places that cannot be written: exit 4, and what is there stays") {
  const std::string before = read_text_file(playground() + "/run/checkpoints/step-3.safetensors");
  for (const Row& row : std::vector<Row>{
           {"train tiny.smelt -o run --steps 2", 4, "`--resume` goes on with it, `--force` replaces it"},
           {"train tiny.smelt -o a_file --steps 2", 4, "a_file"},
           {"train tiny.smelt -o a_file/below --steps 2", 4, "a_file"},
           {"build tiny.smelt -o a_file", 4, "a_file"},
       }) {
    check(row);
  }
  CHECK(read_text_file(playground() + "/a_file") == "in the way\n");
  CHECK(read_text_file(playground() + "/run/checkpoints/step-3.safetensors") == before);
  const CommandResult full = run_command({"sh", "-c", "\"$0\" ops > /dev/full", SMELT_BINARY_DIR "/smelt"});
  CHECK(full.exit_code == 4);
  CHECK(full.err.find("cannot write to the standard output") != std::string::npos);
}

TEST_CASE("every command that --help lists answers --help on stdout") {
  const CommandResult help = run_smelt({"--help"});
  CHECK(help.exit_code == 0);
  std::istringstream text(help.out);
  std::vector<std::string> commands;
  bool listing = false;
  for (std::string line; std::getline(text, line);) {
    if (listing && line.starts_with("  ") && line[2] != ' ') commands.push_back(line.substr(2, line.find(' ', 2) - 2));
    if (line.starts_with("Subcommands:")) listing = true;
  }
  CHECK(commands.size() >= 12);
  for (const std::string& command : commands) {
    const CommandResult one = run_smelt({command, "--help"});
    CHECK_MESSAGE(one.exit_code == 0, command);
    CHECK_MESSAGE(one.out.find("--help") != std::string::npos, command);
    CHECK_MESSAGE(one.err.empty(), one.err);
  }
  CHECK(run_smelt({"debug", "grads", "--help"}).out.find("--objective") != std::string::npos);
  CHECK(run_smelt({"--version"}).out == "smelt 0.1.0\n");
}

TEST_CASE("surroundings: closed streams, a narrow terminal, another locale, a reader that leaves") {
  check({"check tiny.smelt", 0, ""}, {.closed_stdout = true});
  check({"train tiny.smelt -o closed --steps 2", 0, ""}, {.closed_stdout = true});
  CHECK(read_text_file(playground() + "/closed/metrics.jsonl").starts_with("{\"step\":1,"));
  check({"train tiny.smelt -o narrow --steps 2", 0, "step 2/2"}, {.environment = {"COLUMNS=1"}});
  check({"train tiny.smelt -o german --steps 2", 0, "step 2/2"}, {.environment = {"LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8"}});
  check({"train tiny.smelt -o german2 --steps 0,5", 2, "`0,5`"}, {.environment = {"LC_ALL=de_DE.UTF-8"}});
  CHECK(read_text_file(playground() + "/german/model.smelt") == read_text_file(playground() + "/tiny.smelt"));
  // Nothing that is no terminal gets control bytes.
  const CommandResult plain = run_smelt({"train", "tiny.smelt", "-o", "plain", "--steps", "2"}, {.directory = playground()});
  CHECK((plain.out + plain.err).find('\x1b') == std::string::npos);
  const CommandResult left = run_command({"sh", "-c", "\"$0\" ops | head -1", SMELT_BINARY_DIR "/smelt"});
  CHECK(left.exit_code == 0);
  CHECK(left.err.empty());
}

TEST_CASE("a signal saves after the iteration, exits 128 + its number, and the run resumes") {
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string run = fmt::format("signal-{}", signal);
    const std::string directory = playground() + "/" + run;
    const CommandResult stopped = run_smelt({"train", "tiny.smelt", "-o", run, "--threads", "1"},
                                            {.directory = playground(), .signal = signal, .signal_when = directory + "/metrics.jsonl"});
    CHECK_MESSAGE(stopped.exit_code == 128 + signal, stopped.err);
    CHECK_MESSAGE(stopped.err.find(fmt::format("saved; go on with: smelt train tiny.smelt --resume -o {}", run)) != std::string::npos, stopped.err);
    const std::string last = read_text_file(directory + "/last");
    const std::string digits = last.substr(last.find('-') + 1);
    const long step = std::atol(digits.c_str());
    CHECK(step > 0);
    check({fmt::format("train tiny.smelt --resume -o {} --steps {}", run, step + 3), 0, fmt::format("at step {}", step + 3)});
    const std::vector<double> losses = logged_losses(directory, "loss");
    CHECK(losses.size() == static_cast<size_t>(step + 3));
  }
}

}  // namespace
}  // namespace smelt::test
