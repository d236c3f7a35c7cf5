#include "compiler/schedule/write_in_place.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "compiler/loops/walk.h"

namespace smelt {
namespace {

/// A load or store of a statement list that runs at each point of the outer loops.
struct Touch {
  const Stmt* stmt = nullptr;
  size_t list = 0;                              // setups and bodies of the sweeps, in the order in which they run
  const std::vector<int32_t>* loops = nullptr;  // of the sweep, when the list is its body
};

/// What an access touches over a sweep, at one point of the outer loops.
struct Footprint {
  int64_t constant = 0;
  std::vector<std::pair<int32_t, int64_t>> outer;            // loop, coefficient
  std::vector<std::tuple<int64_t, int32_t, int64_t>> inner;  // coefficient, extent: symbol and bound
  friend bool operator==(const Footprint&, const Footprint&) = default;
};

class KernelTouches {
 public:
  explicit KernelTouches(const Kernel& kernel) : kernel_(kernel) {
    static const std::vector<int32_t> kNone;
    size_t list = 0;
    for (const Sweep& sweep : kernel.sweeps) {
      add(sweep.setup, list++, kNone);
      add(sweep.body, list++, sweep.loops);
    }
  }

  bool may_take_over(int32_t result, int32_t operand) const {
    const std::vector<const Touch*> stores = of(result, StmtKind::Store), loads = of(operand, StmtKind::Load);
    if (stores.empty() || loads.empty()) return false;
    const Touch& first = *stores.front();
    const Footprint where = footprint(first);
    if (!visits_once(first)) return false;
    for (const Touch* store : stores) {
      if (!simple(*store) || footprint(*store) != where) return false;
    }
    return std::ranges::all_of(loads, [&](const Touch* load) {
      if (!simple(*load) || footprint(*load) != where) return false;
      // Pointers into `touches_`, which are in the order in which they run.
      if (load > &first) return false;
      const bool same_points = load->list != first.list;
      return same_points || load->stmt->access.offset == first.stmt->access.offset;
    });
  }

 private:
  void add(const std::vector<Stmt>& statements, size_t list, const std::vector<int32_t>& loops) {
    for (const Stmt& stmt : statements) {
      if (stmt.kind == StmtKind::Load || stmt.kind == StmtKind::Store) touches_.push_back({&stmt, list, &loops});
    }
  }

  std::vector<const Touch*> of(int32_t buffer, StmtKind kind) const {
    std::vector<const Touch*> found;
    for (const Touch& touch : touches_) {
      if (touch.stmt->kind == kind && touch.stmt->access.buffer == buffer) found.push_back(&touch);
    }
    return found;
  }

  static bool simple(const Touch& touch) { return touch.stmt->access.row < 0 && touch.stmt->access.predicate < 0; }

  const Extent& extent(int32_t loop) const { return kernel_.loops[static_cast<size_t>(loop)].extent; }

  Footprint footprint(const Touch& touch) const {
    Footprint result{.constant = touch.stmt->access.offset.constant};
    for (const auto& [loop, coefficient] : touch.stmt->access.offset.terms) {
      if (loop < kernel_.num_outer)
        result.outer.emplace_back(loop, coefficient);
      else
        result.inner.emplace_back(coefficient, extent(loop).symbol, extent(loop).bound);
    }
    std::ranges::sort(result.inner);
    return result;
  }

  /// Whether no two points of the open loops touch one element: each loop steps over all that the shorter ones reach.
  bool visits_once(const Touch& touch) const {
    std::vector<std::pair<int64_t, int64_t>> steps;  // coefficient, extent
    const auto add = [&](int32_t loop) {
      if (extent(loop) != Extent(1))
        steps.emplace_back(touch.stmt->access.offset.coefficient(loop), extent(loop).bound);
    };
    for (int32_t loop = 0; loop < kernel_.num_outer; ++loop) add(loop);
    std::ranges::for_each(*touch.loops, add);
    std::ranges::sort(steps);
    int64_t reach = 1;
    for (const auto& [coefficient, bound] : steps) {
      if (coefficient < reach) return false;
      reach = coefficient * bound;
    }
    return true;
  }

  const Kernel& kernel_;
  std::vector<Touch> touches_;
};

/// Buffers that the kernel touches in other ways than by statements at points of its outer loops.
std::set<size_t> touched_otherwise(const Kernel& kernel) {
  Kernel rest = kernel;
  rest.sweeps.clear();
  std::set<size_t> found;
  for_each_buffer(rest, [&](int32_t buffer) { found.insert(static_cast<size_t>(buffer)); });
  return found;
}

/// Temporaries whose life begins, and whose life ends, with each kernel. One that lives in one kernel alone begins.
struct Turnover {
  std::vector<std::vector<size_t>> begins, ends;

  explicit Turnover(const LoopFunction& function) : begins(function.kernels.size()), ends(function.kernels.size()) {
    const std::vector<Lifetime> alive = lifetimes(function);
    for (size_t b = 0; b < function.buffers.size(); ++b) {
      if (function.buffers[b].storage != Storage::Temporary || alive[b].last < 0) continue;
      begins[static_cast<size_t>(alive[b].first)].push_back(b);
      if (alive[b].last != alive[b].first) ends[static_cast<size_t>(alive[b].last)].push_back(b);
    }
  }
};

}  // namespace

LoopFunction write_in_place(LoopFunction function, const Target&) {
  for (LoopBuffer& buffer : function.buffers) buffer.over = -1;
  Turnover turnover(function);
  for (size_t k = 0; k < function.kernels.size(); ++k) {
    std::vector<size_t>&results = turnover.begins[k], &operands = turnover.ends[k];
    // A value of the steps before and after is not this step's to overwrite.
    const int32_t home = repeat_of(function, k);
    const auto lives_elsewhere = [&](size_t b) { return function.buffers[b].repeat != home; };
    std::erase_if(results, lives_elsewhere);
    std::erase_if(operands, lives_elsewhere);
    if (results.empty() || operands.empty()) continue;
    const KernelTouches touches(function.kernels[k]);
    const std::set<size_t> otherwise = touched_otherwise(function.kernels[k]);
    for (const size_t result : results) {
      const TensorType& type = function.buffers[result].type;
      const auto taken = std::ranges::find_if(operands, [&](size_t operand) {
        const TensorType& other = function.buffers[operand].type;
        return size_of(type.dtype) == size_of(other.dtype) && !otherwise.contains(result) &&
               !otherwise.contains(operand) &&
               touches.may_take_over(static_cast<int32_t>(result), static_cast<int32_t>(operand));
      });
      if (taken == operands.end()) continue;
      function.buffers[result].over = static_cast<int32_t>(*taken);
      operands.erase(taken);
    }
  }
  return function;
}

}  // namespace smelt
