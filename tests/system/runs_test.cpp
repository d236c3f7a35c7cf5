// A run directory stands alone: it knows its data, its settings and its types, and goes on after changes that decide no
// bit of it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <sstream>

#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

namespace fs = std::filesystem;

TEST_CASE("a run remembers its data, its settings and its types; exports need no data") {
  const std::string work = fresh_directory("stands-alone");
  fs::create_directories(work + "/project/data");
  write_small_model(work + "/project", replaced(replaced(kSmallModel, "x.npy", "data/x.npy"), "y.npy", "data/y.npy"));
  for (const char* file : {"x.npy", "y.npy"}) fs::rename(work + "/project/" + file, work + "/project/data/" + file);
  const std::string settings =
      "--set width=5 --seed 11 --batch 4 --precision f64 --disable-pass fusion --no-shuffle --epochs 1";
  REQUIRE(smelt_in(work, "train project/m.smelt -o a --steps 3 " + settings).exit_code == 0);
  REQUIRE(smelt_in(work, "train project/m.smelt -o whole " + settings).exit_code == 0);
  // Nothing is given again, from another directory.
  const CommandResult evaluated = smelt_in("/", fmt::format("eval {}/a --split train", work));
  CHECK_MESSAGE(evaluated.exit_code == 0, evaluated.err);
  const CommandResult resumed = smelt_in(work, "train project/m.smelt -o a --resume");
  CHECK_MESSAGE(resumed.exit_code == 0, resumed.err);
  CHECK(difference(work + "/whole/checkpoints/step-10.safetensors", work + "/a/checkpoints/step-10.safetensors") == "");
  // A flag wins over what is remembered.
  CHECK(says(smelt_in(work, "train project/m.smelt -o a --resume --seed 12"), "the seed was 11, is 12"));
  CHECK(says(smelt_in(work, "eval a --data d=/nonexistent"), "`/nonexistent/x.npy`"));
  CHECK(smelt_in(work, "train project/m.smelt -o a --resume").exit_code == 0);  // what was refused is not remembered
  // A file that was packed since is the same data.
  REQUIRE(shell_in(work, "gzip project/data/x.npy").exit_code == 0);
  const CommandResult packed = smelt_in(work, "train project/m.smelt -o a --resume");
  CHECK_MESSAGE(packed.exit_code == 0, packed.err);
  CHECK(smelt_in("/", fmt::format("eval {}/a --split train", work)).exit_code == 0);
  REQUIRE(shell_in(work, "gunzip project/data/x.npy.gz").exit_code == 0);
  // The places of --data are remembered like those beside the model.
  fs::rename(work + "/project/data", work + "/moved");
  CHECK(says(smelt_in(work, "eval a"), "cannot find `data/x.npy`"));
  REQUIRE(smelt_in(work, "train project/m.smelt -o b --data d=moved --epochs 1").exit_code == 0);
  CHECK(smelt_in("/", fmt::format("eval {}/b", work)).exit_code == 0);

  fs::copy(work + "/project/in.npy", work + "/in.npy");
  fs::remove_all(work + "/project");
  fs::remove_all(work + "/moved");
  for (const char* run : {"a", "b"}) {
    const CommandResult fed = smelt_in(work, fmt::format("run {0} f --input x=in.npy -o {0}.npy", run));
    CHECK_MESSAGE(fed.exit_code == 0, fed.err);
  }
}

TEST_CASE("each option of train that decides bits is remembered, or compared when a run goes on") {
  const std::string work = fresh_directory("options-of-a-run");
  write_small_model(work);
  // What each does is tried here and above; a new option has to be put into one of these lists.
  const std::set<std::string> remembered = {"--set",        "--batch", "--seed",   "--precision",
                                            "--train",      "--cpu",   "--epochs", "--disable-pass",
                                            "--no-shuffle", "--init",  "--partial"};
  const std::set<std::string> decide_no_bit = {"--data",      "--memory-budget", "--limit",  "--json",     "--threads",
                                               "--steps",     "--output",        "--resume", "--autosave", "--force",
                                               "--check-nan", "--interp",        "--help"};
  std::istringstream help(smelt_in(work, "train --help").out);
  size_t found = 0;
  for (std::string line; std::getline(help, line);) {
    const size_t at = line.starts_with("  -") ? line.find("--") : std::string::npos;
    if (at == std::string::npos) continue;
    const std::string option = line.substr(at, line.find(' ', at) - at);
    ++found;
    CHECK_MESSAGE((remembered.contains(option) || decide_no_bit.contains(option)), option);
  }
  CHECK(found >= remembered.size());

  REQUIRE(smelt_in(work, "train m.smelt -o whole --cpu x86-64-v2").exit_code == 0);
  REQUIRE(smelt_in(work, "train m.smelt -o a --cpu x86-64-v2 --steps 3").exit_code == 0);
  const CommandResult other = smelt_in(work, "train m.smelt -o a --resume --cpu native");
  CHECK(other.exit_code == 3);
  CHECK_MESSAGE(says(other, "`--cpu`"), other.err);
  REQUIRE(smelt_in(work, "train m.smelt -o a --resume").exit_code == 0);
  CHECK(difference(work + "/whole/checkpoints/step-10.safetensors", work + "/a/checkpoints/step-10.safetensors") == "");
  CHECK(smelt_in(work, "eval a --data d=.").exit_code == 0);

  // Values of --set count where they change what is trained: not the default, and not what an export alone reads.
  write_small_model(work, replaced(std::string(kSmallModel) + "config gain = 2.0\n", "x * 2", "x * gain"));
  REQUIRE(smelt_in(work, "train m.smelt -o s --steps 3").exit_code == 0);
  CHECK(smelt_in(work, "train m.smelt -o s --resume --steps 4 --set width=3 --set gain=5").exit_code == 0);
  CHECK(smelt_in(work, "train m.smelt -o s --resume --steps 5 --set gain=7").exit_code == 0);
  CHECK(says(smelt_in(work, "train m.smelt -o s --resume --set width=4"), "cannot resume"));
  CHECK(says(smelt_in(work, "train m.smelt -o s --resume --disable-pass fusion"), "`--disable-pass` was not given"));

  // A machine that has more computes what the first one computed; one that has less does not go on.
  REQUIRE(smelt_in(work, "train m.smelt -o c --steps 3").exit_code == 0);
  CHECK(read_text_file(work + "/c/run.json").find("\"level\": \"x86-64-v") != std::string::npos);
  const std::string of_native = read_text_file(work + "/c/run.json");
  const size_t level = of_native.find("\"level\": \"") + std::string("\"level\": \"").size();
  std::string of_another = of_native;
  of_another.replace(level, of_native.find('"', level) - level, "x86-64-v9");
  write_text_file(work + "/c/run.json", of_another);
  const CommandResult refused = smelt_in(work, "train m.smelt -o c --resume");
  CHECK(refused.exit_code == 2);
  CHECK_MESSAGE(says(refused, "which this machine does not have"), refused.err);
  of_another.replace(of_another.find("x86-64-v9"), std::string("x86-64-v9").size(), "x86-64-v2");
  write_text_file(work + "/c/run.json", of_another);
  CHECK(smelt_in(work, "train m.smelt -o c --resume").exit_code == 0);
}

TEST_CASE("everything in run.json is checked; without the file flags do") {
  const std::string work = fresh_directory("run-record");
  write_small_model(work);
  REQUIRE(smelt_in(work, "train m.smelt -o a --set width=5").exit_code == 0);
  const std::string good = read_text_file(work + "/a/run.json");
  const std::pair<const char*, const char*> changes[] = {{"\"smelt.run\": 1", "\"smelt.run\": 2"},
                                                         {"\"smelt.run\": 1", "\"smelt.run\": -1"},
                                                         {"\"5\"", "5"},
                                                         {"\"config\": {", "\"config\": [{"},
                                                         {"\"no_shuffle\": false", "\"no_shuffle\": 1"},
                                                         {"\"dtype\": \"f32\"", "\"dtype\": \"f33\""},
                                                         {"\"shape\": [", "\"shape\": [4294967296, 4294967296, "},
                                                         {"\"shape\": [", "\"shape\": [-1, "},
                                                         {"\"places\": [", "\"places\": [\"more\", "},
                                                         {"\"data\": [", "\"data\": [7, "},
                                                         {"{", "[[[["},
                                                         {"\"precision\": \"\"", "\"precision\": \"f31\""},
                                                         {"\"disabled\": []", "\"disabled\": [\"nothing\"]"}};
  for (const auto& [from, to] : changes) {
    write_text_file(work + "/a/run.json", replaced(good, from, to));
    for (const char* line : {"eval a", "train m.smelt -o a --resume", "run a f --input x=in.npy -o o.npy --force"}) {
      const CommandResult result = smelt_in(work, line);
      CHECK_MESSAGE((result.exit_code == 2 || result.exit_code == 3),
                    fmt::format("{} -> {}: {}: {}", from, to, line, result.err));
    }
  }
  write_text_file(work + "/a/run.json", "");
  CHECK(smelt_in(work, "eval a").exit_code == 3);
  fs::remove(work + "/a/run.json");
  CHECK(smelt_in(work, "eval a --set width=5 --data d=.").exit_code == 0);
  CHECK(smelt_in(work, "eval a --data d=.").exit_code == 3);  // the shapes differ
}

TEST_CASE("comments, metrics, exports, actions and the stop rule may change before a run goes on; a layer may not") {
  const std::string work = fresh_directory("changed-text");
  write_small_model(work);
  REQUIRE(smelt_in(work, "train m.smelt -o whole").exit_code == 0);
  const std::string train = "  step loss with";
  const std::string changed[] = {
      "# a note\n\n" + std::string(kSmallModel),
      replaced(kSmallModel, "metric size", "metric other(y: ix<Class>[B], x: f32[B, X]) = mean(net(x))\nmetric size"),
      replaced(kSmallModel, "export two(x: f32[B, X]) -> (f32[B, X], f32[B]) { (x * 2, sum(x, over=X)) }\n", ""),
      replaced(kSmallModel, "export f", "dim M <= 5\nexport g(z: f32[M]) -> f32[M] = z * 2\nexport f"),
      replaced(kSmallModel, train,
               "  every 1 epoch { eval train: loss, size; checkpoint keep 2 }\n" + std::string(train)),
      replaced(kSmallModel, train, "  stop when loss < -5\n" + std::string(train)),
      replaced(kSmallModel, "train { data d",
               "const shown: f32[4, X] ~ Normal(0, 1)\nexport h() -> f32[4, Class] = net(shown)\ntrain { data d"),
      replaced(kSmallModel, "layer Net(x: f32[B, X])", "layer Net( x :\n f32[B, X] )"),
  };
  for (const std::string& text : changed) {
    CAPTURE(text);
    fs::remove_all(work + "/a");
    write_text_file(work + "/m.smelt", kSmallModel);
    REQUIRE(smelt_in(work, "train m.smelt -o a --steps 4").exit_code == 0);
    write_text_file(work + "/m.smelt", text);
    const CommandResult resumed = smelt_in(work, "train m.smelt -o a --resume");
    CHECK_MESSAGE(resumed.exit_code == 0, resumed.err);
    CHECK(difference(work + "/whole/checkpoints/step-10.safetensors", work + "/a/checkpoints/step-10.safetensors") ==
          "");
    CHECK(read_text_file(work + "/a/model.smelt") == text);
  }
  const std::string refused[] = {replaced(kSmallModel, "act=tanh", "act=relu"),
                                 replaced(kSmallModel, "lr = 0.01", "lr = 0.02"),
                                 replaced(kSmallModel, "adam(", "sgd("),
                                 replaced(kSmallModel, "{ mean(soft", "{ 2 * mean(soft"),
                                 replaced(kSmallModel, "= field(0)", "= field(0) * 2"),
                                 replaced(kSmallModel, "batch B = 8, shuffle", "batch B = 8")};
  write_text_file(work + "/m.smelt", kSmallModel);
  REQUIRE(smelt_in(work, "train m.smelt -o b --steps 4").exit_code == 0);
  for (const std::string& text : refused) {
    CAPTURE(text);
    write_text_file(work + "/m.smelt", text);
    const CommandResult resumed = smelt_in(work, "train m.smelt -o b --resume");
    CHECK_MESSAGE(resumed.exit_code == 3, resumed.err);
    CHECK(says(resumed, "cannot resume"));
    CHECK(read_text_file(work + "/b/model.smelt") == kSmallModel);
  }
}

TEST_CASE("a finished run goes on with more epochs; --steps beyond the end says so") {
  const std::string work = fresh_directory("extended");
  write_small_model(work);
  const CommandResult beyond = smelt_in(work, "train m.smelt -o a --steps 99");
  CHECK(beyond.exit_code == 0);
  CHECK_MESSAGE(says(beyond, "note: --steps 99 is beyond the end of training at step 10"), beyond.err);
  const CommandResult more = smelt_in(work, "train m.smelt -o a --resume --epochs 4");
  CHECK_MESSAGE(more.exit_code == 0, more.err);
  CHECK(says(more, "ends at step 20 now"));
  CHECK(logged_losses(work + "/a", "loss").size() == 20);
  // Adam with a constant rate does not look at the end: the same as 4 epochs from the start.
  REQUIRE(smelt_in(work, "train m.smelt -o whole --epochs 4").exit_code == 0);
  CHECK(difference(work + "/whole/checkpoints/step-20.safetensors", work + "/a/checkpoints/step-20.safetensors") == "");
  CHECK(says(smelt_in(work, "train m.smelt -o a --resume --epochs 1"),
             "the run is at step 20, and training ends at step 5"));
  // Remembered: nothing is left to do.
  const CommandResult done = smelt_in(work, "train m.smelt -o a --resume");
  CHECK(done.out.find("at step 20") != std::string::npos);
}

TEST_CASE("a run in which gradients add up to no update says so, where the option stands") {
  const std::string work = fresh_directory("no-update");
  write_small_model(work, replaced(kSmallModel, "lr = 0.01", "lr = 0.01, accumulate = 11"));
  const CommandResult never = smelt_in(work, "train m.smelt -o a");
  CHECK(never.exit_code == 0);
  CHECK_MESSAGE(says(never,
                     "m.smelt:17:47: warning: nothing is ever updated: gradients of 11 runs of `loss` make an "
                     "update, and 2 epochs of these data are 10"),
                never.err);
  CHECK_FALSE(says(smelt_in(work, "train m.smelt -o b --epochs 3"), "nothing is ever updated"));
}

TEST_CASE("a run that a condition of `stop when` ended has ended, wherever it was interrupted") {
  const std::string work = fresh_directory("stopped");
  const auto write = [&](std::string_view stop) {
    write_small_model(work, replaced(kSmallModel, "epochs 2", fmt::format("epochs 2\n  {}", stop)));
  };
  write("");
  REQUIRE(smelt_in(work, "train m.smelt -o free").exit_code == 0);
  const std::vector<double> losses = logged_losses(work + "/free", "loss");
  REQUIRE(losses.size() == 10);
  // Between the loss of step 4, and those before it.
  const double first = *std::min_element(losses.begin(), losses.begin() + 3);
  REQUIRE(losses[3] < first);
  write(fmt::format("stop when loss < {}", (losses[3] + first) / 2));
  REQUIRE(smelt_in(work, "train m.smelt -o whole").exit_code == 0);
  CHECK(logged_losses(work + "/whole", "loss").size() == 4);
  REQUIRE(smelt_in(work, "train m.smelt -o parts --steps 4").exit_code == 0);
  for (const char* run : {"parts", "whole"}) {
    const CommandResult again = smelt_in(work, fmt::format("train m.smelt -o {} --resume", run));
    CHECK_MESSAGE(again.out.find("stopped by `stop when` at step 4") != std::string::npos, again.out);
    CHECK(again.exit_code == 0);
  }
  CHECK(logged_values(work + "/parts") == logged_values(work + "/whole"));
  write("stop when nan(loss)");  // another rule lets it go on
  REQUIRE(smelt_in(work, "train m.smelt -o whole --resume").exit_code == 0);
  CHECK(logged_values(work + "/whole") == logged_values(work + "/free"));
}

TEST_CASE("a run goes on when objectives of its file run with others, in another train section or never") {
  const std::string models = R"(dim B = 4
layer Net() -> f32[3] {
  param w: f32[3] ~ Normal(0, 1)
  w
}
model a = Net
model b = Net
objective first() updates a { mean((a() - 1) ^ 2) }
objective second() updates b { mean((b() - a()) ^ 2) }
)";
  const std::string first = "batch B = 4\nsteps 6\nstep first with adam(lr = 0.1)\n",
                    second = "step second with adam(lr = 0.1)\n";
  struct Row {
    const char* name;
    std::string train, flags;
  };
  const Row rows[] = {{"never", "train {\n" + first + "}\n", ""},
                      {"together", "train {\n" + first + second + "loop { together { first; second } }\n}\n", ""},
                      {"sections", "train one {\n" + first + "}\ntrain two {\nbatch B = 4\nsteps 6\n" + second + "}\n",
                       " --train two"}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const std::string work = fresh_directory(std::string("goes-on-") + row.name);
    write_text_file(work + "/m.smelt", models + row.train);
    REQUIRE(smelt_in(work, "train m.smelt -o whole" + row.flags).exit_code == 0);
    REQUIRE(smelt_in(work, "train m.smelt -o half --steps 3" + row.flags).exit_code == 0);
    const CommandResult resumed = smelt_in(work, "train m.smelt -o half --resume" + row.flags);
    CHECK_MESSAGE(resumed.exit_code == 0, resumed.err);
    CHECK(difference(work + "/whole/checkpoints/step-6.safetensors", work + "/half/checkpoints/step-6.safetensors") ==
          "");
  }
}

TEST_CASE("training data that changed is noticed at --resume, with the file") {
  const std::string work = fresh_directory("changed-data");
  write_small_model(work);
  REQUIRE(smelt_in(work, "train m.smelt -o a --steps 4").exit_code == 0);
  std::string bytes = read_text_file(work + "/x.npy");
  bytes[bytes.size() - 2] = static_cast<char>(bytes[bytes.size() - 2] ^ 1);
  write_text_file(work + "/x.npy", bytes);
  const CommandResult resumed = smelt_in(work, "train m.smelt -o a --resume");
  CHECK(resumed.exit_code == 3);
  CHECK_MESSAGE(says(resumed, "x.npy"), resumed.err);
  CHECK(smelt_in(work, "train m.smelt -o b --init a/checkpoints/step-4.safetensors").exit_code == 0);
}

TEST_CASE("what weights are used, and what of a file was left out, is said") {
  const std::string work = fresh_directory("weights");
  write_small_model(work);
  REQUIRE(smelt_in(work, "train m.smelt -o a").exit_code == 0);
  CHECK(says(smelt_in(work, "eval m.smelt"), "initial values"));
  CHECK(!says(smelt_in(work, "eval a"), "initial values"));
  write_text_file(work + "/m.smelt", replaced(replaced(kSmallModel, "hid:", "other:"), "Class = 4", "Class = 5"));
  for (const char* line :
       {"eval m.smelt --partial --weights a/checkpoints/step-10.safetensors",
        "run m.smelt f --input x=in.npy -o o.npy --partial --weights a/checkpoints/step-10.safetensors",
        "train m.smelt -o c --partial --init a/checkpoints/step-10.safetensors"}) {
    // Nothing fits but what both have: none here, so that is an error.
    CHECK_MESSAGE(says(smelt_in(work, line), "nothing fits: this is another model"), line);
  }
  write_text_file(work + "/m.smelt", replaced(kSmallModel, "hid:", "other:"));
  for (const char* line :
       {"eval m.smelt --partial --weights a/checkpoints/step-10.safetensors",
        "run m.smelt f --input x=in.npy -o o.npy --partial --weights a/checkpoints/step-10.safetensors",
        "train m.smelt -o c --partial --init a/checkpoints/step-10.safetensors"}) {
    const CommandResult result = smelt_in(work, line);
    CHECK_MESSAGE(result.exit_code == 0, result.err);
    CHECK_MESSAGE(says(result, "`net.other.W` keeps its initial value: it is not in the file"), result.err);
    CHECK_MESSAGE(says(result, "`net.hid.W` of the file is left out: the model lacks it"), result.err);
  }
}

TEST_CASE("constants and splits are those that the weights were trained with; a seed is for other draws") {
  const std::string work = fresh_directory("seeds");
  std::string rows;
  for (int i = 0; i < 64; ++i) rows += fmt::format("{}\n", i / 64.0);
  write_text_file(work + "/x.csv", rows);
  write_text_file(work + "/m.smelt", R"(dim B <= 8, K = 5
const k: f32[K] ~ Normal(0, 1)
data d {
  train, valid = csv("x.csv") |> split(0.5)
  x: f32 = field(0)
}
layer Net(x: f32[N]) -> f32[N] {
  param w: f32[K] ~ Normal(0, 1)
  sum(w * k, over=K) * x
}
model net = Net
objective loss(x: f32[B]) updates net { mean((net(x) - x) ^ 2) }
metric size(x: f32[B]) = sum(x) + sum(k)
export drawn(x: f32[B] ~ Uniform(0, 1)) = net(x)
train {
  data d
  batch B = 8
  steps 4
  seed 1
  step loss with sgd(lr = 0.1)
}
)");
  REQUIRE(smelt_in(work, "train m.smelt -o r --seed 5").exit_code == 0);
  const std::string of_run = smelt_in(work, "eval r --split valid").out;
  CHECK(smelt_in(work, "eval r --split valid --seed 9").out == of_run);
  CHECK(smelt_in(work, "eval m.smelt --split valid --weights r").out == of_run);
  CHECK(smelt_in(work, "eval m.smelt --split valid").out != of_run);
  for (const char* sample : {"sample r drawn -n 3 -o a.npy", "sample r drawn -n 3 -o b.npy --seed 9"})
    REQUIRE(smelt_in(work, sample).exit_code == 0);
  CHECK(read_text_file(work + "/a.npy") != read_text_file(work + "/b.npy"));
}

TEST_CASE("a run stands for its best checkpoint or its last, wherever a file of parameters is asked for") {
  const std::string work = fresh_directory("named");
  write_small_model(work, replaced(kSmallModel, "epochs 2", "epochs 2\n  every 1 epoch { checkpoint keep 3 }"));
  REQUIRE(smelt_in(work, "train m.smelt -o a").exit_code == 0);
  const auto result_of = [&](const std::string& weights) {
    const CommandResult run = smelt_in(work, "run m.smelt f --input x=in.npy -o o.npy --force --weights " + weights);
    CHECK_MESSAGE(run.exit_code == 0, run.err);
    return read_text_file(work + "/o.npy");
  };
  const std::string first = result_of("a/checkpoints/step-5.safetensors");
  const std::string last = result_of("a/checkpoints/step-10.safetensors");
  CHECK(first != last);
  CHECK(result_of("a") == last);
  CHECK(result_of("a/") == last);
  CHECK(result_of("a/last") == last);
  const CommandResult no_best = smelt_in(work, "eval m.smelt --weights a/best");
  CHECK_MESSAGE(says(no_best, "`checkpoint keep best(min METRIC)` of the train section keeps one"), no_best.err);
  write_text_file(work + "/a/best", "checkpoints/step-5.safetensors\n");
  CHECK(result_of("a") == first);
  CHECK(result_of("a/best") == first);
  CHECK(result_of("a/last") == last);
  CHECK(smelt_in(work, "eval m.smelt --weights a").exit_code == 0);
  CHECK(smelt_in(work, "gradcheck m.smelt --weights a").exit_code == 0);
  REQUIRE(smelt_in(work, "train m.smelt -o b --init a/last").exit_code == 0);
  REQUIRE(smelt_in(work, "train m.smelt -o c --init a/checkpoints/step-10.safetensors").exit_code == 0);
  const std::string end = "/checkpoints/step-10.safetensors";
  CHECK(difference(work + "/b" + end, work + "/c" + end) == "");
  fs::remove_all(work + "/b/checkpoints");
  const CommandResult none = smelt_in(work, "eval m.smelt --weights b");
  CHECK(none.exit_code == 2);
  CHECK_MESSAGE(says(none, "`b` has no last checkpoint"), none.err);
}

}  // namespace
}  // namespace smelt::test
