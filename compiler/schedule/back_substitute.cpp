#include "compiler/schedule/back_substitute.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "compiler/loops/arithmetic.h"
#include "compiler/schedule/linear_carries.h"

namespace smelt {
namespace {

// A body of more statements has enough to do between one carry and the next, and its copies take long to compile.
constexpr size_t kMaxStatements = 16;
// Powers up to the eighth stay far from what f32 cannot hold.
constexpr double kLeastFactor = 1.0 / 256;

bool may_pass_in_blocks(const Kernel& kernel, const Sweep& sweep, const Blocking& blocking) {
  if (!sweep.ordered || sweep.carries.empty() || !sweep.folds.empty() || sweep.loops.size() != 1) return false;
  const Loop& loop = kernel.loops[static_cast<size_t>(sweep.loops[0])];
  return loop.only < 0 && loop.extent.is_static() && sweep.body.size() <= kMaxStatements &&
         loop.extent.bound >= blocking.blocks_pay * blocking.turns;
}

/// Writes one sweep in order as blocks of turns, the turns that are left over, and the turns one by one.
class Blocks {
 public:
  Blocks(Kernel& kernel, size_t sweep, std::vector<LinearCarry> carries, int64_t turns)
      : kernel_(kernel),
        place_(sweep),
        sweep_(kernel.sweeps[sweep]),
        carries_(std::move(carries)),
        turns_(turns),
        loop_(kernel.loops[static_cast<size_t>(sweep_.loops[0])]) {}

  void write() {
    move_invariants_out();
    for (size_t c = 0; c < carries_.size(); ++c) find_powers(c);
    const std::optional<int32_t> guard = write_guard();
    const int64_t total = loop_.extent.bound, blocks = total / turns_, left = total % turns_;
    std::vector<Sweep> sweeps = {write_turns("blocks", blocks, turns_, 0, guard)};
    if (left > 0) sweeps.push_back(write_turns("rest", left, 1, blocks * turns_, guard));
    if (guard) sweeps.push_back(one_by_one(*guard));
    if (!guard) remove_loop(sweeps);
    sweeps.front().setup = std::move(sweep_.setup);
    join(sweeps);
    const auto at = kernel_.sweeps.begin() + static_cast<std::ptrdiff_t>(place_);
    kernel_.sweeps.insert(kernel_.sweeps.erase(at), sweeps.begin(), sweeps.end());
  }

 private:
  int32_t emit(std::vector<Stmt>& into, Stmt stmt) {
    stmt.value = kernel_.num_values++;
    into.push_back(std::move(stmt));
    return into.back().value;
  }
  int32_t call(std::vector<Stmt>& into, std::string_view op, std::vector<int32_t> operands, DType dtype) {
    return emit(into, compute(op, std::move(operands), dtype, kernel_.span));
  }
  int32_t constant(DType dtype, double value) {
    return emit(kernel_.setup, {.kind = StmtKind::Constant, .dtype = dtype, .constant = value});
  }
  DType dtype_of(const LinearCarry& carry) const { return sweep_.body[carry.path.front()].dtype; }

  void move_invariants_out() {
    const std::set<int32_t> invariant = invariant_values(kernel_, sweep_);
    std::vector<Stmt> body;
    std::vector<size_t> moved_to(sweep_.body.size());
    for (size_t at = 0; at < sweep_.body.size(); ++at) {
      Stmt& stmt = sweep_.body[at];
      moved_to[at] = body.size();
      const bool moves = stmt.kind != StmtKind::Store && invariant.contains(stmt.value);
      (moves ? kernel_.setup : body).push_back(std::move(stmt));
    }
    for (LinearCarry& carry : carries_) {
      for (size_t& at : carry.path) at = moved_to[at];
    }
    sweep_.body = std::move(body);
  }

  /// powers_[c][i] is the factor of carry c over i + 1 turns; -1 is 1.
  void find_powers(size_t c) {
    int32_t factor = -1;
    for (const size_t at : carries_[c].path) {
      const Stmt& stmt = sweep_.body[at];
      if (!computes(stmt, "mul")) continue;
      factor = product(factor, carries_[c].other(stmt), stmt.dtype, kernel_.setup);
    }
    std::vector<int32_t> powers = {factor};
    while (static_cast<int64_t>(powers.size()) < turns_)
      powers.push_back(product(powers.back(), factor, dtype_of(carries_[c]), kernel_.setup));
    powers_.push_back(std::move(powers));
  }

  int32_t product(int32_t a, int32_t b, DType dtype, std::vector<Stmt>& into) {
    if (a < 0 || b < 0) return std::max(a, b);
    return call(into, "mul", {a, b}, dtype);
  }

  /// A Bool of the setup: whether the turns may pass in blocks. Nothing where that is known.
  std::optional<int32_t> write_guard() {
    std::optional<int32_t> guard;
    for (size_t c = 0; c < carries_.size(); ++c) {
      const int32_t factor = powers_[c][0];
      if (factor < 0 || carries_[c].factor) continue;
      const DType dtype = dtype_of(carries_[c]);
      const int32_t size = call(kernel_.setup, "abs", {factor}, dtype);
      const int32_t least = constant(dtype, kLeastFactor), most = constant(dtype, 1);
      const int32_t not_small = call(kernel_.setup, "ge", {size, least}, DType::Bool);
      const int32_t not_large = call(kernel_.setup, "le", {size, most}, DType::Bool);
      const int32_t both = call(kernel_.setup, "and", {not_small, not_large}, DType::Bool);
      guard = guard ? call(kernel_.setup, "and", {*guard, both}, DType::Bool) : both;
    }
    return guard;
  }

  int32_t add_loop(std::string_view name, int64_t extent, int32_t only = -1) {
    kernel_.loops.push_back({fmt::format("{}_{}", loop_.name, name), Extent(extent), false, only});
    return static_cast<int32_t>(kernel_.loops.size()) - 1;
  }

  /// A loop of one turn where `guard` is `wanted`, of none where it is not.
  int32_t add_condition(std::string_view name, int32_t guard, bool wanted) {
    const int32_t turn = constant(DType::I64, 0), none = constant(DType::I64, -1);
    return add_loop(name, 1,
                    call(kernel_.setup, "select", {guard, wanted ? turn : none, wanted ? none : turn}, DType::I64));
  }

  /// `count` turns of a loop, each of which does what `each` turns did, from turn `first` on.
  Sweep write_turns(std::string_view name, int64_t count, int64_t each, int64_t first, std::optional<int32_t> guard) {
    Sweep sweep{.ordered = true};
    if (guard) sweep.loops.push_back(add_condition(fmt::format("{}_if", name), *guard, true));
    const int32_t loop = add_loop(name, count);
    sweep.loops.push_back(loop);
    for (size_t c = 0; c < carries_.size(); ++c) sweep.carries.push_back({kernel_.num_values++, -1, -1, -1});
    std::vector<int32_t> now, sums(carries_.size(), -1);
    for (const Carry& carry : sweep.carries) now.push_back(carry.value);
    for (int64_t turn = 0; turn < each; ++turn) {
      Affine index = Affine::of(loop, each) + (first + turn);
      if (loop_.reverse) index = index * -1 + (loop_.extent.bound - 1);
      write_turn(sweep, index, turn, turn + 1 == each, now, sums);
    }
    for (size_t c = 0; c < now.size(); ++c) sweep.carries[c].next = now[c];
    return sweep;
  }

  /// `now`: what the carries hold before the turn, and then behind it. `sums`: what the turns of the block before it
  /// have added to them; -1 is 0.
  void write_turn(Sweep& sweep, const Affine& index, int64_t turn, bool is_last, std::vector<int32_t>& now,
                  std::vector<int32_t>& sums) {
    std::vector<int32_t> values(static_cast<size_t>(kernel_.num_values));
    for (size_t v = 0; v < values.size(); ++v) values[v] = static_cast<int32_t>(v);
    std::vector<int32_t> next = now;
    for (size_t c = 0; c < now.size(); ++c) values[static_cast<size_t>(sweep_.carries[c].value)] = now[c];
    for (size_t at = 0; at < sweep_.body.size(); ++at) {
      const Stmt& stmt = sweep_.body[at];
      const auto on_path = std::ranges::find_if(
          carries_, [&](const LinearCarry& carry) { return std::ranges::find(carry.path, at) != carry.path.end(); });
      if (on_path == carries_.end()) {
        const int32_t value = copy(sweep.body, stmt, values, index);
        if (stmt.value >= 0) values[static_cast<size_t>(stmt.value)] = value;
        continue;
      }
      const auto c = static_cast<size_t>(on_path - carries_.begin());
      sums[c] = step(sweep.body, *on_path, stmt, sums[c], values);
      if (at != on_path->path.back() || !(is_last || on_path->is_read)) continue;
      const int32_t scaled =
          product(powers_[c][static_cast<size_t>(turn)], sweep.carries[c].value, stmt.dtype, sweep.body);
      next[c] = sums[c] < 0 ? scaled : call(sweep.body, "add", {scaled, sums[c]}, stmt.dtype);
      values[static_cast<size_t>(stmt.value)] = next[c];
    }
    now = std::move(next);
  }

  /// A statement of a path, of the sum that the block adds.
  int32_t step(std::vector<Stmt>& into, const LinearCarry& carry, const Stmt& stmt, int32_t sum,
               const std::vector<int32_t>& values) {
    const int32_t other = values[static_cast<size_t>(carry.other(stmt))];
    if (computes(stmt, "mul")) return sum < 0 ? -1 : call(into, "mul", {sum, other}, stmt.dtype);
    if (computes(stmt, "add")) return sum < 0 ? other : call(into, "add", {sum, other}, stmt.dtype);
    return sum < 0 ? call(into, "neg", {other}, stmt.dtype) : call(into, "sub", {sum, other}, stmt.dtype);
  }

  int32_t copy(std::vector<Stmt>& into, Stmt stmt, const std::vector<int32_t>& values, const Affine& index) {
    const auto rename = [&](int32_t& value) {
      if (value >= 0) value = values[static_cast<size_t>(value)];
    };
    for (int32_t& operand : stmt.operands) rename(operand);
    rename(stmt.access.row);
    rename(stmt.access.predicate);
    stmt.access.offset = substitute(stmt.access.offset, sweep_.loops[0], index);
    stmt.index = substitute(stmt.index, sweep_.loops[0], index);
    if (stmt.kind != StmtKind::Store) return emit(into, std::move(stmt));
    into.push_back(std::move(stmt));
    return -1;
  }

  Sweep one_by_one(int32_t guard) {
    Sweep sweep = sweep_;
    sweep.setup.clear();
    sweep.loops.insert(sweep.loops.begin(), add_condition("alone_if", guard, false));
    return sweep;
  }

  /// The loop over the turns one by one, which no sweep has any more.
  void remove_loop(std::vector<Sweep>& sweeps) {
    const int32_t removed = sweep_.loops[0];
    kernel_.loops.erase(kernel_.loops.begin() + removed);
    const auto renumber = [&](Sweep& sweep) {
      for (int32_t& loop : sweep.loops) loop -= loop > removed ? 1 : 0;
      for (std::vector<Stmt>* body : {&sweep.setup, &sweep.body}) {
        for (Stmt& stmt : *body) {
          for (Affine* index : {&stmt.index, &stmt.access.offset}) {
            for (auto& [loop, coefficient] : index->terms) loop -= loop > removed ? 1 : 0;
          }
        }
      }
    };
    for (Sweep& sweep : sweeps) renumber(sweep);
    for (Sweep& sweep : kernel_.sweeps) renumber(sweep);
  }

  /// Each sweep begins with what the one before it handed on last.
  void join(std::vector<Sweep>& sweeps) {
    for (size_t c = 0; c < sweep_.carries.size(); ++c) {
      int32_t at = sweep_.carries[c].start;
      for (Sweep& sweep : sweeps) {
        Carry& carry = sweep.carries[c];
        carry.start = at;
        carry.last = &sweep == &sweeps.back() ? sweep_.carries[c].last : kernel_.num_values++;
        at = carry.last;
      }
    }
  }

  Kernel& kernel_;
  const size_t place_;
  Sweep sweep_;
  std::vector<LinearCarry> carries_;
  const int64_t turns_;
  const Loop loop_;
  std::vector<std::vector<int32_t>> powers_;
};

}  // namespace

LoopFunction back_substitute(LoopFunction function, const Target& target) {
  const Blocking& blocking = target.blocking;
  for (Kernel& kernel : function.kernels) {
    if (kernel.kind() != KernelKind::Nest) continue;
    // From the last one: what becomes of a sweep lies behind it.
    for (size_t sweep = kernel.sweeps.size(); sweep-- > 0;) {
      if (!may_pass_in_blocks(kernel, kernel.sweeps[sweep], blocking)) continue;
      std::optional<std::vector<LinearCarry>> carries = linear_carries(kernel, kernel.sweeps[sweep]);
      if (!carries) continue;
      const auto unfit = [](const LinearCarry& carry) {
        return carry.factor && !(std::abs(*carry.factor) >= kLeastFactor && std::abs(*carry.factor) <= 1);
      };
      if (std::ranges::none_of(*carries, unfit)) Blocks(kernel, sweep, std::move(*carries), blocking.turns).write();
    }
  }
  return function;
}

}  // namespace smelt
