// One function on its way through the compiler, and what passes need to know beside it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/compile_clock.h"
#include "compiler/loops/loop_ir.h"
#include "compiler/lower/build_loops.h"
#include "compiler/options.h"
#include "compiler/plan/fusion_plan.h"
#include "compiler/plan/node_schedule.h"
#include "compiler/schedule/target.h"
#include "ir/verifier.h"

namespace smelt {

/// What holds of a function, one stage after the other. Each belongs to one level, which has a text and a verifier.
enum class Stage : uint8_t {
  // graph
  Any,             // as the frontend makes it
  Differentiated,  // no `grad`
  Primitive,       // nor composites
  Isolated,        // results have nodes of their own
  // plan
  Stored,   // which values have memory
  Ordered,  // and in which order they are computed
  Planned,  // and by which kernel
  // loops, see LoopStage
  Lowered,
  Tiled,
  Scheduled,
  Placed
};
enum class Level : uint8_t { Graph, Plan, Loops };

std::string_view to_string(Stage stage);
std::string_view to_string(Level level);
constexpr Level level_of(Stage stage) {
  return stage <= Stage::Isolated ? Level::Graph : stage <= Stage::Planned ? Level::Plan : Level::Loops;
}

/// What a level does not need any more of the ones before it is still there: `explain` and messages read it.
struct FunctionUnit {
  Stage stage = Stage::Any;
  ScheduledGraph source;
  FusionPlan plan;
  LoopFunction loops;

  /// Bytes of the arena up to the last temporary.
  int64_t end() const { return loops.temporaries.end; }
};

/// FLOPs and bytes of all kernels.
struct Work {
  double flops = 0, bytes = 0;
};
Work work_of(const LoopFunction& loops);

// Values up to this size are kept under a budget: they are not what fills memory.
inline constexpr int64_t kSmallBytes = 4096;

struct PassContext {
  Fusion fusion = Fusion::Full;
  DType precision = DType::F32;  // a half: what `rounds` says is rounded to it
  Rounds rounds = Rounds::Stores;
  LowerOptions lower;
  Target target;
  int64_t memory_budget = 0;          // bytes of the arena; 0: none
  int64_t small_bytes = kSmallBytes;  // little, for trying budgets on small shapes
  std::vector<std::string> skip;      // names of passes
  CompileClock* clock = nullptr;      // null: it may take as long as it does
};

/// What is wrong with a unit at its stage; empty when nothing is.
std::vector<std::string> verify(const FunctionUnit& unit);

}  // namespace smelt
