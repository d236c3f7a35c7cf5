#include "compiler/schedule/block_transposes.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "compiler/loops/walk.h"

namespace smelt {
namespace {

constexpr int64_t kLineBytes = 64;

const Loop& loop_of(const Kernel& kernel, int32_t loop) { return kernel.loops[static_cast<size_t>(loop)]; }

/// Its points may be passed in any order, each as often as one likes its setup.
bool may_be_turned(const Kernel& kernel) {
  if (kernel.kind() != KernelKind::Nest || kernel.by_columns || kernel.sweeps.size() != 1) return false;
  const Sweep& sweep = kernel.sweeps[0];
  if (sweep.loops.size() != 1 || sweep.ordered || !sweep.folds.empty() || !sweep.carries.empty()) return false;
  const auto runs_once = [](const Loop& loop) { return loop.only >= 0; };
  const auto stores = [](const Stmt& stmt) { return stmt.kind == StmtKind::Store; };
  return std::ranges::none_of(kernel.loops, runs_once) && std::ranges::none_of(sweep.setup, stores) &&
         loop_of(kernel, sweep.loops[0]).extent.is_static();
}

/// The outer loop whose neighbouring turns touch lines of the cache that the inner loop goes across, at the least
/// distance; or -1.
int32_t loop_along_lines(const LoopFunction& function, const Kernel& kernel) {
  const int32_t inner = kernel.sweeps[0].loops[0];
  int32_t along = -1;
  int64_t least = kLineBytes;
  for (const Stmt& stmt : kernel.sweeps[0].body) {
    if (stmt.access.buffer < 0 || stmt.access.row >= 0) continue;
    const int64_t size = size_of(dtype_of(function, stmt.access.buffer));
    const auto step = [&](int32_t loop) { return std::abs(stmt.access.offset.coefficient(loop)) * size; };
    if (step(inner) < kLineBytes) continue;
    for (const int32_t outer : outer_loops(kernel)) {
      if (step(outer) == 0 || step(outer) >= least) continue;
      least = step(outer);
      along = outer;
    }
  }
  return along;
}

/// The points that a nest passes between two neighbouring turns of an outer loop, usually.
int64_t points_between(const LoopFunction& function, const Kernel& kernel, int32_t outer) {
  int64_t points = loop_of(kernel, kernel.sweeps[0].loops[0]).extent.bound;
  for (int32_t loop = outer + 1; loop < kernel.num_outer; ++loop)
    points *= usual_size(function, loop_of(kernel, loop).extent);
  return points;
}

/// Turns of a loop of `all` that make a block, of whole vectors if there is such a one; 0: none divides it.
int64_t turns_of_block(int64_t all, int64_t most, int64_t lanes) {
  if (all <= most) return all;
  for (const int64_t of : {lanes, int64_t{1}}) {
    for (int64_t turns = most; 2 * turns >= most; --turns)
      if (all % turns == 0 && turns % of == 0) return turns;
  }
  return 0;
}

/// The inner loop in blocks, around which `along` runs: outer loops, blocks, `along`, and the turns of a block.
void pass_in_blocks(Kernel& kernel, int32_t along, int64_t turns) {
  const int32_t inner = kernel.sweeps[0].loops[0];
  std::vector<int32_t> order;
  for (const int32_t loop : outer_loops(kernel)) {
    if (loop != along) order.push_back(loop);
  }
  if (const int64_t all = loop_of(kernel, inner).extent.bound; turns < all) {
    const auto block = static_cast<int32_t>(kernel.loops.size());
    kernel.loops.push_back({.name = loop_of(kernel, inner).name + "_block", .extent = Extent(all / turns)});
    kernel.loops[static_cast<size_t>(inner)].extent = Extent(turns);
    for_each_affine(kernel, [&](Affine& affine) {
      affine = substitute(affine, inner, Affine::of(inner) + Affine::of(block, turns));
    });
    order.push_back(block);
  }
  order.push_back(along);
  kernel.num_outer = static_cast<int32_t>(order.size());
  order.push_back(inner);
  keep_loops(kernel, order);
}

}  // namespace

LoopFunction block_transposes(LoopFunction function, const Target& target) {
  const int64_t most = target.blocking.lines, lanes = target.lanes(function.arithmetic);
  for (Kernel& kernel : function.kernels) {
    if (!may_be_turned(kernel)) continue;
    const int32_t along = loop_along_lines(function, kernel);
    if (along < 0 || points_between(function, kernel, along) <= most) continue;
    const int64_t turns = turns_of_block(loop_of(kernel, kernel.sweeps[0].loops[0]).extent.bound, most, lanes);
    if (turns > 0) pass_in_blocks(kernel, along, turns);
  }
  return function;
}

}  // namespace smelt
