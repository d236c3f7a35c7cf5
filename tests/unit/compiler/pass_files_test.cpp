// tests/files/passes: each pass on a text, with the text that it leaves. SMELT_UPDATE=1 rewrites what it leaves.
//
//   // smelt debug pass simplify
//   func @f(..) { .. }
//   // leaves
//   func @f(..) { .. }
#include <doctest/doctest.h>

#include <set>
#include <sstream>

#include "api/smelt/compile.h"
#include "api/smelt/run_pass.h"
#include "compiler/codegen/make_target.h"
#include "compiler/loops/kernel_identity.h"
#include "compiler/loops/loops_text.h"
#include "compiler/plan/plan_text.h"
#include "compiler/run_passes.h"
#include "compiler/unit_text.h"
#include "tests/support/text_files.h"

using namespace smelt;

namespace {

constexpr std::string_view kCommand = "// smelt debug pass ", kLeaves = "// leaves\n";

struct PassCase {
  std::string command, name, input;
  PassFlags flags;
};

PassCase read_case(const std::string& text) {
  PassCase found;
  const size_t line = text.find('\n'), leaves = text.find(kLeaves);
  REQUIRE(text.starts_with(kCommand));
  found.command = text.substr(0, line + 1);
  found.input = text.substr(line + 1, leaves == std::string::npos ? leaves : leaves - line - 1);
  std::istringstream words(found.command.substr(kCommand.size()));
  words >> found.name;
  for (std::string flag; words >> flag;) {
    if (flag == "--unfused") found.flags.unfused = true;
    if (flag == "--bf16-pairs") found.flags.bf16_pairs = true;
    if (flag == "--unfused" || flag == "--bf16-pairs") continue;
    std::string value;
    words >> value;
    if (flag == "--cpu") found.flags.cpu = value;
    if (flag == "--precision") found.flags.precision = value;
    if (flag == "--memory-budget") found.flags.memory_budget = std::stoll(value);
  }
  return found;
}

}  // namespace

TEST_CASE("every pass has a case, and leaves what its file says") {
  std::set<std::string> seen;
  const std::set<std::string> runs_twice = {"choose_layouts", "lower_precision"};  // they leave no dead nodes
  for (const auto& path : test::files_in("tests/files/passes", ".txt")) {
    INFO(path.filename().string());
    const PassCase one = read_case(test::read_text(path));
    const Result<std::string> after = run_pass(one.name, one.input, one.flags);
    REQUIRE_MESSAGE(after.has_value(), after.error().message);
    CHECK_MESSAGE((one.input != *after), "the pass does nothing here");
    const std::string whole = one.command + one.input + std::string(kLeaves) + *after;
    CHECK(test::golden(path, whole) == whole);
    seen.insert(one.name);
    if (!runs_twice.contains(one.name)) continue;
    const Result<std::string> again = run_pass(one.name, *after, one.flags);
    REQUIRE_MESSAGE(again.has_value(), again.error().message);
    CHECK_MESSAGE(*again == *after, "a second run changes something");
  }
  for (const Pass& pass : all_passes()) CHECK_MESSAGE(seen.contains(std::string(pass.name)), pass.name, " has no case");
}

TEST_CASE("every level of every example prints, reads and prints the same, and reads as the same code") {
  for (const char* cpu : {"x86-64-v2", "x86-64-v4"}) {
    const Target target = make_target(cpu).value();
    for (const auto& path : test::files_in("examples", ".smelt")) {
      const Result<CheckedModel> model = check_file(path.string(), {});
      REQUIRE(model.has_value());
      REQUIRE_MESSAGE(model->experiment.has_value(), path.string());
      const PassContext context = context_of(*model->experiment, target, {});
      CompileOptions options;
      options.dump_after = {"isolate_results", "choose_stored", "order_nodes",   "plan_kernels",
                            "build_loops",     "tile_products", "pack_operands", "plan_memory"};
      const auto check = [&](int, std::string_view pass, const FunctionUnit& unit) {
        INFO(path.filename().string(), " ", unit.source.graph.name, " after ", pass);
        const std::string text = print(unit);
        const Result<FunctionUnit> read = parse_unit(text, unit.stage);
        REQUIRE_MESSAGE(read.has_value(), read.error().message);
        CHECK((print(*read) == text));
        if (unit.stage != Stage::Placed) return;
        const LoopProgram before{.functions = {unit.loops}}, after{.functions = {read->loops}};
        CHECK((identify(before) == identify(after)));
      };
      for (const Function& function : model->experiment->functions)
        REQUIRE(run_passes(function.graph, context, options, check).has_value());
    }
  }
}

TEST_CASE("the loops and plans of bodies print, read and print the same") {
  const PassCase one = read_case(test::read_text(test::source_path("tests/files/passes/build_loops_scan.txt")));
  const Result<FunctionUnit> unit = parse_unit(one.input, Stage::Planned);
  REQUIRE_MESSAGE(unit.has_value(), unit.error().message);
  CHECK(print(*unit) == one.input);
}

TEST_CASE("texts that are wrong are refused with their line") {
  const auto message = [](Stage stage, std::string_view text) {
    const Result<FunctionUnit> unit = parse_unit(text, stage);
    return unit ? std::string("read") : unit.error().message;
  };
  CHECK(message(Stage::Lowered, "loops @f computes f33") == "line 1: no dtype `f33`");
  CHECK(message(Stage::Lowered, "loops @f computes f32\n  buffer x = input #0 f32[4]\n  kernel k1_exp") ==
        "line 3: kernel `k1_exp` does not begin with `k0_`");
  CHECK(message(Stage::Lowered,
                "loops @f computes f32\n  kernel k0_exp\n    outer i0<4\n    sweep\n"
                "      store y[i0] = %0\n") == "line 5: no buffer `y`");
  CHECK(message(Stage::Lowered,
                "loops @f computes f32\n  buffer y = output #0 f32[4]\n  kernel k0_exp\n"
                "    outer i0<5\n    %0: f32 = 1\n    sweep\n      store y[i0] = %0\n") ==
        "no loops at stage `lowered`: f.k0_exp: `y` has 4 elements, accessed at 0 to 4");
  CHECK(message(Stage::Tiled, "loops @f computes f32\n") == "no loops at stage `tiled`: f: vectors have no lanes");
  CHECK(message(Stage::Stored,
                "func @f(%x: feed f32) {\n  return %x as value \"y\"\n}\nplan full {\n  store %3 sum\n}\n") ==
        "line 5: no node %3");
  CHECK(message(Stage::Any, "func @f(%x: feed f32) {\n}\nloops") == "line 3: expected the end, got `loops`");
  CHECK(run_pass("simplfy", "", {}).error().help == "did you mean `simplify`?");
}
