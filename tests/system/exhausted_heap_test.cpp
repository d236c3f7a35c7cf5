// Memory that runs out while LLVM's passes are made is std::bad_alloc, and never a signal: LLVM is built without
// exceptions, so that what it leaves half changed may not be destroyed (compiler/codegen/llvm_pointer.h).
#include <doctest/doctest.h>

#include <new>

#include "api/smelt/compile.h"
#include "compiler/codegen/emit_program.h"
#include "compiler/codegen/make_target.h"
#include "tests/system/heap_counter.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

constexpr std::string_view kTinyModel = R"(dim X = 2
layer Net(x: f32[X]) -> f32[X] { x * 2 }
model net = Net
export f(x: f32[X]) -> f32[X] = net(x)
)";

/// Whether `work` is done before memory runs out.
template <typename Work>
bool is_done(const Work& work) {
  try {
    work();
    serve_heap_calls();
    return true;
  } catch (const std::bad_alloc&) {
    serve_heap_calls();
    return false;
  }
}

TEST_CASE("any heap call may fail while LLVM's passes are chosen and run") {
  if (skip_without_heap_counter()) return;
  const Result<Target> target = make_target("x86-64-v2");
  REQUIRE(target);
  const CheckedModel model = check_text("m.smelt", std::string(kTinyModel), {});
  REQUIRE_MESSAGE(model.experiment, render(model.diagnostics, *model.sources));
  const Result<LoweredExperiment> lowered = lower(model, {.cpu = "x86-64-v2"});
  REQUIRE(lowered);
  const auto optimise = [&] { (void)emit_program(lowered->loops, *target, CodeKind::LlvmIr); };
  REQUIRE(is_done(optimise));  // what LLVM makes once is there
  const int64_t before = num_heap_calls();
  REQUIRE(is_done(optimise));
  const int64_t calls = num_heap_calls() - before;
  int64_t failed = 0;
  for (int64_t call = 0; call < calls; ++call) {
    fail_heap_calls(call, 1);
    failed += is_done(optimise) ? 0 : 1;
  }
  CHECK(failed > calls / 2);
  CHECK(is_done(optimise));
}

}  // namespace
}  // namespace smelt::test
