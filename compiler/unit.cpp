#include "compiler/unit.h"

#include <array>

namespace smelt {

std::string_view to_string(Stage stage) {
  constexpr std::array<std::string_view, 11> kNames = {"any",    "differentiated", "primitive", "isolated",
                                                       "stored", "ordered",        "planned",   "lowered",
                                                       "tiled",  "scheduled",      "placed"};
  return kNames[static_cast<size_t>(stage)];
}

std::string_view to_string(Level level) {
  constexpr std::array<std::string_view, 3> kNames = {"graph", "plan", "loops"};
  return kNames[static_cast<size_t>(level)];
}

Work work_of(const LoopFunction& loops) {
  Work work;
  for (const Kernel& kernel : loops.kernels) {
    work.flops += kernel.flops;
    work.bytes += kernel.bytes;
  }
  return work;
}

namespace {

GraphStage graph_stage(Stage stage) {
  return stage == Stage::Any              ? GraphStage::Any
         : stage == Stage::Differentiated ? GraphStage::Differentiated
                                          : GraphStage::Primitive;
}

LoopStage loop_stage(Stage stage) {
  return static_cast<LoopStage>(static_cast<uint8_t>(stage) - static_cast<uint8_t>(Stage::Lowered));
}

}  // namespace

std::vector<std::string> verify(const FunctionUnit& unit) {
  switch (level_of(unit.stage)) {
    case Level::Graph: return verify(unit.source.graph, graph_stage(unit.stage));
    case Level::Plan: return verify(unit.source.graph, unit.plan);
    case Level::Loops: return verify(unit.loops, loop_stage(unit.stage));
  }
  return {};
}

}  // namespace smelt
