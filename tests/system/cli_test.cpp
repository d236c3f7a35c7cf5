// The command line as a user meets it: exit codes and messages for whatever can be typed wrong, missing, damaged or
// stopped.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
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
      const CommandResult made =
          run_smelt({"train", "tiny.smelt", "-o", run, "--steps", "3", "--threads", "1"}, {.directory = path});
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
           {"diff", 2, "not supported yet"},
           {"--verbos", 2, "unknown flag `--verbos`"},
           {"train", 2, "`smelt train` needs FILE"},
           {"train tiny.smelt --thread 2", 2, "did you mean `--threads`"},
           {"train tiny.smelt --threads", 2, "--threads needs a value"},
           {"train tiny.smelt --threads 1 --threads 2", 2, "--threads is given twice"},
           {"train tiny.smelt --seed 1 --seed 1", 2, "--seed is given twice"},
           {"train tiny.smelt --set width=3 --set width=4", 2, "--set `width` is given twice"},
           {"train tiny.smelt --data points=. --data points=x", 2, "--data `points` is given twice"},
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
           {"train tiny.smelt --precision f31", 2, "use f32, f64 or bf16"},
           {"train tiny.smelt --cpu pentium", 2, "x86-64-v3"},
           {"train tiny.smelt --set width", 2, "write --set NAME=VALUE"},
           {"train tiny.smelt --data points", 2, "write --data NAME=DIR"},
           {"train tiny.smelt --data =x", 2, "--data `=x` has no name before its `=`"},
           {"train tiny.smelt --set =x", 2, "--set `=x` has no name before its `=`"},
           {"run run out -o o.npy --input =x", 2, "--input `=x` has no name before its `=`"},
           {"run run out -o o.npy --json", 2, "unknown flag `--json`"},
           {"build tiny.smelt -o built --json", 2, "unknown flag `--json`"},
           {"dump tiny.smelt --json", 2, "unknown flag `--json`"},
           {"explain tiny.smelt --json", 2, "unknown flag `--json`"},
           {"check tiny.smelt --json --ownership", 2, "leave --ownership out"},
           {"check tiny.smelt --force", 2, "--force replaces a file: it goes with `-o`"},
           {"check tiny.smelt --data -o o.npy", 2, "the pictures are written as .png"},
           {"train tiny.smelt --data points=", 2, "names no directory"},
           {"eval tiny.smelt --data points=. --partial", 2, "give it with --weights FILE"},
           {"gradcheck tiny.smelt --objective los", 2, "did you mean `loss`"},
           {"run run out -o o.npy --shape 2x2", 2, "the pixels of a .png"},
           {"run run out -o o.npy --rate 8000", 2, "the samples a second of a .wav"},
           {"run tiny.smelt out -o o.npy --partial", 2, "give it with --weights FILE"},
           {"run run out -o o.png --shape 1x3abc", 2, "--shape `1x3abc` is not HxW"},
           {"run run out -o o.png --shape 1x3x7", 2, "--shape `1x3x7` is not HxW"},
           {"run run out -o o.png --shape 01x+3", 2, "--shape `01x+3` is not HxW"},
           {"eval run/checkpoints/step-3.safetensors", 2, "is a file of parameters, no model file"},
           {"train tiny.smelt --resume", 2, "give it as -o RUNDIR"},
           {"train tiny.smelt --resume --force -o run", 2, "leave one of them out"},
           {"train tiny.smelt --resume --init x.safetensors -o run", 2, "leave one of them out"},
           {"train tiny.smelt --partial -o new", 2, "--init FILE"},
           {"build tiny.smelt -o built --emit=objj", 2, "did you mean `obj`"},
           {"dump tiny.smelt --stage lop", 2, "unknown stage `lop`"},
           {"dump tiny.smelt --stage ast --stop-after simplify", 2,
            "stage `ast` is made before all passes: stopped after `simplify` there is none"},
           {"dump tiny.smelt --stage loops --stop-after simplify", 2,
            "there is no stage `loops` after pass `simplify`, which leaves a graph"},
           {"dump tiny.smelt --stage grad --stop-after build_loops", 2, "`--stage loops` can be had there"},
           {"dump tiny.smelt --dump-after simplfy", 2, "no pass `simplfy`"},
           {"dump tiny.smelt --stage grad --stop-after simplfy", 2, "no pass `simplfy`"},
           {"eval run --data points=. --split trian", 2, "did you mean `train`"},
           {"run run ouut -o o.npy", 2, "has no export `ouut`"},
           {"run run out -o o.npy --input x", 2, "write --input x=FILE.npy"},
           {"sample run out -o o.npy", 2, "drawn from"},
           {"debug", 2, "no debug tool is named"},
           {"debug grads tiny.smelt --wieghts x -o g", 2, "did you mean `--weights`"},
           {"explain E9999", 2, "E9999"},
           {"explain E0107 --set width=3", 2, "--set is for a model file"},
           {"train tiny.smelt --disable-pass fussion", 2, "did you mean `fusion`"},
           {"bench tiny.smelt --disable-pass differentiate", 2,
            "cannot be left out: no code can be made of `grad` and `jvp`"},
           {"dump tiny.smelt --disable-pass plan_memory", 2, "any of simplify, stabilize,"},
           {"run run out -o o.npy --disable-pass xyz", 2, "there are simplify,"},
           {"eval run --data points=. --disable-pass remove_dead_nodes", 2, "kernels are planned for"},
       }) {
    check(row);
  }
}

TEST_CASE("a value that is empty, as of a shell variable that is not set, is a mistake and not a default") {
  for (const std::vector<std::string>& line : std::vector<std::vector<std::string>>{
           {"train", "tiny.smelt", "-o", ""},
           {"train", "tiny.smelt", "-o", "never", "--init", ""},
           {"eval", "tiny.smelt", "--weights", ""},
           {"eval", "tiny.smelt", "--split", ""},
           {"check", "tiny.smelt", "--precision", ""},
           {"check", "tiny.smelt", "--set", ""},
           {"bench", "tiny.smelt", "--export", ""},
           {"run", "run", "out", "-o", ""},
           {"build", "tiny.smelt", "-o", ""},
       }) {
    const CommandResult result = run_smelt(line, {.directory = playground()});
    CHECK(result.exit_code == 2);
    CHECK_MESSAGE(result.err.find("the value is empty") != std::string::npos, result.err);
  }
  CHECK_FALSE(std::filesystem::exists(playground() + "/never"));
  CHECK(run_smelt({"check", "tiny.smelt", "--data"}, {.directory = playground()}).exit_code == 0);
}

TEST_CASE("a result that is no picture, and a number of draws that changes nothing, are mistakes of the command line") {
  const std::string work = fresh_directory("results");
  write_text_file(work + "/m.smelt",
                  "import std.nn (Dense)\ndim B <= 8, X = 4\n"
                  "layer Net(x: f32[B, X]) -> f32[B, X] { x |> out: Dense{X} }\nmodel net = Net\n"
                  "export same(x: f32[B, X] ~ Normal(0, 1)) -> f32[B, X] = x\n"
                  "export line(x: f32[B, X] ~ Normal(0, 1)) -> f32[B] = sum(net(x), over=X)\n"
                  "export two(x: f32[3, X] ~ Normal(0, 1)) -> f32[3, 2, 2] = reshape(net(x), [3, 2, 2])\n");
  const auto in = [&](const std::vector<std::string>& arguments) { return run_smelt(arguments, {.directory = work}); };
  const CommandResult picture = in({"sample", "m.smelt", "line", "-o", "o.png"});
  CHECK_MESSAGE(picture.exit_code == 2, picture.err);
  CHECK(picture.err.find("expected [N, H, W]") != std::string::npos);
  CHECK(in({"sample", "m.smelt", "two", "-o", "o.png", "--shape", "2x2"}).exit_code == 0);  // it has that shape
  const CommandResult folded = in({"sample", "m.smelt", "two", "-o", "p.png", "--shape", "4x1"});
  CHECK(folded.exit_code == 2);
  CHECK(folded.err.find("--shape folds one flat axis: f32[N, 4] here") != std::string::npos);
  REQUIRE(in({"sample", "m.smelt", "same", "-n", "3", "-o", "x.npy"}).exit_code == 0);
  const CommandResult given = in({"sample", "m.smelt", "line", "-n", "3", "--input", "x=x.npy", "-o", "o.npy"});
  CHECK(given.exit_code == 2);
  CHECK(given.err.find("export `line` draws no input") != std::string::npos);
  const CommandResult fixed = in({"sample", "m.smelt", "two", "-n", "5", "-o", "o.npy"});
  CHECK(fixed.exit_code == 2);
  CHECK(fixed.err.find("the inputs of export `two` have a fixed size") != std::string::npos);
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
  for (const char* command : {"ops", "explain E0101"}) {  // more than a stream's buffer, and less
    const CommandResult full =
        run_command({"sh", "-c", fmt::format("\"$0\" {} > /dev/full", command), SMELT_BINARY_DIR "/smelt"});
    CHECK(full.exit_code == 4);
    CHECK(full.err.find("cannot write to the standard output: No space") != std::string::npos);
  }
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
  check({"train tiny.smelt -o german --steps 2", 0, "step 2/2"},
        {.environment = {"LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8"}});
  check({"train tiny.smelt -o german2 --steps 0,5", 2, "`0,5`"}, {.environment = {"LC_ALL=de_DE.UTF-8"}});
  CHECK(read_text_file(playground() + "/german/model.smelt") == read_text_file(playground() + "/tiny.smelt"));
  // Nothing that is no terminal gets control bytes.
  const CommandResult plain =
      run_smelt({"train", "tiny.smelt", "-o", "plain", "--steps", "2"}, {.directory = playground()});
  CHECK((plain.out + plain.err).find('\x1b') == std::string::npos);
  const CommandResult left = run_command({"sh", "-c", "\"$0\" ops | head -1", SMELT_BINARY_DIR "/smelt"});
  CHECK(left.exit_code == 0);
  CHECK(left.err.empty());
}

nlohmann::json json_of(const std::vector<std::string>& arguments) {
  const CommandResult result = run_smelt(arguments, {.directory = playground()});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  return nlohmann::json::parse(result.out);
}

TEST_CASE("without fusion every value has a kernel of its own, and a step computes the same") {
  const auto kernels = [](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"dump", "tiny.smelt", "--stage", "fused"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = run_smelt(arguments, {.directory = playground()});
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    size_t count = 0;
    for (size_t at = result.out.find("  kernel "); at != std::string::npos; at = result.out.find("  kernel ", at + 1))
      ++count;
    return count;
  };
  CHECK(kernels({"--disable-pass", "fusion"}) > 2 * kernels({}));
  CHECK(kernels({"--disable-pass", "simplify", "--disable-pass", "merge_equal_nodes"}) >= kernels({}));
  for (const char* command : {"eval", "train"}) {
    std::vector<std::string> arguments = {command, "tiny.smelt", "--disable-pass", "fusion", "--disable-pass", "llvm"};
    if (command[0] == 't') arguments.insert(arguments.end(), {"-o", "unfused", "--steps", "3"});
    const CommandResult result = run_smelt(arguments, {.directory = playground()});
    CHECK_MESSAGE(result.exit_code == 0, result.err);
  }
  const std::vector<double> fused = logged_losses(playground() + "/run", "loss"),
                            unfused = logged_losses(playground() + "/unfused", "loss");
  REQUIRE(unfused.size() == 3);
  for (size_t i = 0; i < 3; ++i) CHECK(unfused[i] == doctest::Approx(fused[i]).epsilon(1e-5));
}

TEST_CASE("`smelt profile` shows kernels or lines beside the roofline, and writes a trace") {
  const std::vector<std::string> profile = {"profile", "tiny.smelt", "--steps", "3", "--warmup", "1", "--threads", "1"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), profile.begin(), profile.end());
    return more;
  };
  const CommandResult table = run_smelt(with({"--trace", "trace.json"}), {.directory = playground()});
  REQUIRE_MESSAGE(table.exit_code == 0, table.err);
  for (const char* part :
       {"tiny: 1 thread(s)", "ms a step", "% of the roofline", "GFLOP/s", "loss.k0", "tiny.smelt:"}) {
    CHECK_MESSAGE(table.out.find(part) != std::string::npos, fmt::format("{} lacks {}", table.out, part));
  }
  const nlohmann::json kernels = json_of(with({"--json"})), lines = json_of(with({"--json", "--by-line"}));
  CHECK(kernels["step_ms"].get<double>() > 0);
  CHECK(kernels["rows"].size() > lines["rows"].size());
  for (const nlohmann::json& row : kernels["rows"]) CHECK(row["name"].get<std::string>().starts_with("loss.k"));
  double flops = 0, flops_by_line = 0;
  for (const nlohmann::json& row : kernels["rows"]) flops += row["flops"].get<double>();
  for (const nlohmann::json& row : lines["rows"]) flops_by_line += row["flops"].get<double>();
  CHECK(flops == doctest::Approx(flops_by_line));
  CHECK(std::ranges::any_of(lines["rows"], [](const nlohmann::json& row) {
    return row["name"] == "tiny.smelt:10" || row["place"].get<std::string>().find("Dense{width") != std::string::npos;
  }));
  // Kernels lie inside their function, one after the other.
  const nlohmann::json trace = nlohmann::json::parse(read_text_file(playground() + "/trace.json"));
  double end = 0;
  size_t functions = 0;
  for (const nlohmann::json& event : trace["traceEvents"]) {
    CHECK(event["ph"] == "X");
    if (event["tid"] == 1) {
      ++functions;
      continue;
    }
    CHECK(event["ts"].get<double>() >= end - 1e-6);
    end = event["ts"].get<double>() + event["dur"].get<double>();
    CHECK(event["args"]["line"].is_string());
  }
  CHECK(functions == 1);
  CHECK(trace["traceEvents"].size() == kernels["rows"].size() + 1);
  check({"profile tiny.smelt --trace nowhere/t.json --steps 1 --threads 1", 4, "nowhere/t.json"});
}

TEST_CASE("`smelt explain FILE` says what was fused with what, and why not more") {
  std::string text = read_text_file(playground() + "/tiny.smelt");
  write_text_file(playground() + "/clipped.smelt", text.replace(text.find("lr = 0.01"), 9, "lr = 0.01, clip_norm = 1"));
  const CommandResult plain = run_smelt({"explain", "tiny.smelt"}, {.directory = playground()});
  const CommandResult clipped = run_smelt({"explain", "clipped.smelt"}, {.directory = playground()});
  REQUIRE_MESSAGE(clipped.exit_code == 0, clipped.err);
  const auto line_of = [](const std::string& out, const std::string& variable) {
    const size_t at = out.find("-> " + variable);
    REQUIRE(at != std::string::npos);
    return out.substr(at, out.find('\n', at) - at);
  };
  // The update of a weight is in the epilogue of its gradient's product, unless it waits for the norm of all gradients.
  CHECK(line_of(plain.out, "net.hidden.W").find("in the epilogue") != std::string::npos);
  const std::string waits = line_of(clipped.out, "net.hidden.W");
  CHECK_MESSAGE(waits.find("not in the product's epilogue: it also needs `") != std::string::npos, waits);
  CHECK_MESSAGE(waits.find("which is known only after kernel") != std::string::npos, waits);
  // The flags of dump.
  const CommandResult wide =
      run_smelt({"explain", "tiny.smelt", "--set", "width=5", "--precision", "f64", "--disable-pass", "fusion"},
                {.directory = playground()});
  REQUIRE_MESSAGE(wide.exit_code == 0, wide.err);
  CHECK(wide.out.find("f64[3, 5]") != std::string::npos);
  CHECK(wide.out.find("stored: fusion is disabled") != std::string::npos);
  CHECK(plain.out.find("fusion is disabled") == std::string::npos);
  // The kernels of a loop's step stand under it.
  const CommandResult loops = run_smelt({"explain", example("charlm_lstm")});
  CHECK(loops.out.find(": a loop of 64 steps, each of 4 kernels\n") != std::string::npos);
  CHECK(loops.out.find("\n      kernel 1: product over [B<=32, 4, 256]\n") != std::string::npos);
}

TEST_CASE("`smelt doctor --json` is one array of findings") {
  const nlohmann::json findings = json_of({"doctor", "--json"});
  std::vector<std::string> names;
  for (const nlohmann::json& finding : findings) {
    names.push_back(finding["name"].get<std::string>());
    CHECK(!finding["value"].get<std::string>().empty());
    CHECK(finding["advice"].is_string());
  }
  for (const char* name : {"smelt", "processor", "vectors", "multiply-add peak", "object cache", "example data"}) {
    CHECK_MESSAGE(std::ranges::find(names, name) != names.end(), name);
  }
  CHECK(findings[0]["value"].get<std::string>().starts_with("0.1.0, LLVM 19"));
}

TEST_CASE("a signal saves after the iteration, exits 128 + its number, and the run resumes") {
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string run = fmt::format("signal-{}", signal);
    const std::string directory = playground() + "/" + run;
    const CommandResult stopped =
        run_smelt({"train", "tiny.smelt", "-o", run, "--threads", "1"},
                  {.directory = playground(), .signal = signal, .signal_when = directory + "/metrics.jsonl"});
    CHECK_MESSAGE(stopped.exit_code == 128 + signal, stopped.err);
    CHECK_MESSAGE(stopped.err.find(fmt::format("saved; go on with: smelt train tiny.smelt --resume -o {}", run)) !=
                      std::string::npos,
                  stopped.err);
    const std::string last = read_text_file(directory + "/last");
    const std::string digits = last.substr(last.find('-') + 1);
    const long step = std::atol(digits.c_str());
    CHECK(step > 0);
    check({fmt::format("train tiny.smelt --resume -o {} --steps {}", run, step + 3), 0,
           fmt::format("at step {}", step + 3)});
    const std::vector<double> losses = logged_losses(directory, "loss");
    CHECK(losses.size() == static_cast<size_t>(step + 3));
  }
  // What is to be copied into a shell is written for one.
  const std::string odd = playground() + "/it's a run";
  const CommandResult quoted =
      run_smelt({"train", "tiny.smelt", "-o", "it's a run", "--threads", "1"},
                {.directory = playground(), .signal = SIGINT, .signal_when = odd + "/metrics.jsonl"});
  CHECK_MESSAGE(quoted.err.find("--resume -o 'it'\\''s a run'\n") != std::string::npos, quoted.err);
}

}  // namespace
}  // namespace smelt::test
