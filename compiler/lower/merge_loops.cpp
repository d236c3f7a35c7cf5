#include "compiler/lower/merge_loops.h"

#include <algorithm>
#include <set>
#include <utility>

#include "compiler/loops/walk.h"

namespace smelt {
namespace {

bool uses(const Stmt& stmt, int32_t loop) {
  return stmt.access.offset.coefficient(loop) != 0 || stmt.index.coefficient(loop) != 0;
}

class LoopMerger {
 public:
  explicit LoopMerger(Kernel& kernel) : kernel_(kernel), is_elementwise_(is_elementwise(kernel)) {}

  void run() {
    std::vector<int32_t> order = outer_loops(kernel_);
    if (is_elementwise_) std::ranges::copy(kernel_.sweeps[0].loops, std::back_inserter(order));
    const size_t before = kernel_.loops.size();
    order = merged(dropped(std::move(order)));
    size_t after = order.size();
    if (!is_elementwise_) {
      for (Sweep& sweep : kernel_.sweeps) {
        sweep.loops = dropped(std::move(sweep.loops));
        after += sweep.loops.size();
      }
    }
    if (after < before) arrange(order);
  }

 private:
  /// Its points may be passed in any order, those of the sweep's loops among them.
  static bool is_elementwise(const Kernel& kernel) {
    if (kernel.sweeps.size() != 1 || kernel.by_columns) return false;
    const Sweep& sweep = kernel.sweeps[0];
    return !sweep.loops.empty() && !sweep.ordered && sweep.folds.empty() && sweep.carries.empty();
  }

  /// A loop with one turn that shows at run time stays.
  bool has_all_turns(int32_t loop) const { return kernel_.loops[static_cast<size_t>(loop)].only < 0; }
  Extent& extent(int32_t loop) { return kernel_.loops[static_cast<size_t>(loop)].extent; }

  /// Without loops of one turn, but for one of them where no other is left.
  std::vector<int32_t> dropped(std::vector<int32_t> order) {
    for (size_t i = 0; i < order.size();) {
      if (extent(order[i]) != Extent(1) || order.size() == 1 || !has_all_turns(order[i])) {
        ++i;
        continue;
      }
      for_each_affine(kernel_, [&](Affine& affine) { affine = substitute(affine, order[i], Affine{}); });
      order.erase(order.begin() + static_cast<std::ptrdiff_t>(i));
    }
    return order;
  }

  std::vector<int32_t> merged(const std::vector<int32_t>& order) {
    std::vector<int32_t> kept;
    for (const int32_t loop : order) {
      if (kept.empty() || !is_one(kept.back(), loop)) {
        kept.push_back(loop);
        continue;
      }
      const int64_t size = extent(loop).bound;
      const Extent times = extent(kept.back());
      extent(loop) =
          times.is_static() ? Extent(times.bound * size) : Extent(times.bound * size, times.symbol, times.scale * size);
      for_each_affine(kernel_, [&](Affine& affine) { affine = substitute(affine, kept.back(), Affine{}); });
      kept.back() = loop;
    }
    return kept;
  }

  bool is_one(int32_t outer, int32_t inner) {
    if (!extent(inner).is_static() || !has_all_turns(outer) || !has_all_turns(inner)) return false;
    bool one = true;
    for_each_affine(kernel_, [&](const Affine& affine) {
      one = one && affine.coefficient(outer) == extent(inner).bound * affine.coefficient(inner);
    });
    return one;
  }

  /// Only loops of `order` are left of those that it was made of.
  void arrange(const std::vector<int32_t>& order) {
    std::vector<int32_t> loops = order;
    size_t num_outer = order.size();
    if (is_elementwise_) {
      if (order.size() > 1) --num_outer;
      Sweep& sweep = kernel_.sweeps[0];
      sweep.loops.assign(order.begin() + static_cast<std::ptrdiff_t>(num_outer), order.end());
      place_statements(sweep, has_all_turns(order.front()));
    } else {
      for (const Sweep& sweep : kernel_.sweeps) loops.insert(loops.end(), sweep.loops.begin(), sweep.loops.end());
    }
    keep_loops(kernel_, loops);
    kernel_.num_outer = static_cast<int32_t>(num_outer);
  }

  /// What uses the sweep's loop belongs to its body. One loop in all is the one that vectors run over, when it
  /// has many turns (`columns`).
  void place_statements(Sweep& sweep, bool columns) {
    if (sweep.loops.empty()) {
      sweep.setup.insert(sweep.setup.end(), std::make_move_iterator(sweep.body.begin()),
                         std::make_move_iterator(sweep.body.end()));
      sweep.body.clear();
      kernel_.by_columns = columns;
      return;
    }
    std::set<int32_t> inside;
    std::vector<Stmt> setup, body;
    for (Stmt& stmt : sweep.setup) {
      const bool moves = uses(stmt, sweep.loops[0]) || inside.contains(stmt.access.row) ||
                         inside.contains(stmt.access.predicate) ||
                         std::ranges::any_of(stmt.operands, [&](int32_t value) { return inside.contains(value); });
      if (moves && stmt.value >= 0) inside.insert(stmt.value);
      (moves ? body : setup).push_back(std::move(stmt));
    }
    std::ranges::move(sweep.body, std::back_inserter(body));
    sweep.setup = std::move(setup);
    sweep.body = std::move(body);
  }

  Kernel& kernel_;
  const bool is_elementwise_;
};

}  // namespace

LoopFunction merge_loops(LoopFunction function) {
  for (Kernel& kernel : function.kernels) {
    if (kernel.kind() == KernelKind::Nest) LoopMerger(kernel).run();
  }
  return function;
}

}  // namespace smelt
