#include "compiler/lower/step_in_kernels.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "compiler/loops/walk.h"
#include "ir/support/check.h"

namespace smelt {
namespace {

bool is_plain(const Access& access) { return access.row < 0 && access.predicate < 0; }

/// The nest of a repetition, on its way to a nest with one loop more.
class Stepper {
 public:
  Stepper(const LoopFunction& function, int32_t repeat)
      : function_(function), repeat_(repeat), steps_(function.repeats[static_cast<size_t>(repeat)]) {}

  /// Nothing when the nest cannot run its steps itself.
  std::optional<Kernel> run() {
    if (steps_.last != steps_.first + 1 || steps_.until >= 0) return std::nullopt;
    kernel_ = function_.kernels[static_cast<size_t>(steps_.first)];
    if (kernel_.kind() != KernelKind::Nest || !kernel_.guarded.empty() || kernel_.sweeps.size() != 1)
      return std::nullopt;
    const Sweep& sweep = kernel_.sweeps[0];
    if (!sweep.loops.empty() || !sweep.folds.empty()) return std::nullopt;
    body_ = std::exchange(kernel_.setup, {});
    body_.insert(body_.end(), sweep.setup.begin(), sweep.setup.end());
    if (!find_carries()) return std::nullopt;
    return build();
  }

 private:
  struct Carried {
    size_t load, store;  // places in `body_`
  };

  const LoopBuffer& buffer_of(const Stmt& stmt) const {
    return function_.buffers[static_cast<size_t>(stmt.access.buffer)];
  }
  bool moves(const LoopBuffer& buffer) const { return buffer.storage == Storage::Slice && buffer.repeat == repeat_; }
  /// What the steps of the repetition share: of a slice, what it is a slice of.
  int32_t whole(const Stmt& stmt) const { return moves(buffer_of(stmt)) ? buffer_of(stmt).ref : stmt.access.buffer; }

  /// False when a point may load what another point, or an earlier store of the same step, has stored.
  bool find_carries() {
    for (size_t at = 0; at < body_.size(); ++at) {
      const Stmt& store = body_[at];
      if (store.kind == StmtKind::Random) return false;
      if (store.kind != StmtKind::Store) continue;
      std::vector<size_t> loads, stores;
      for (size_t i = 0; i < body_.size(); ++i) {
        if (body_[i].kind == StmtKind::Load && whole(body_[i]) == whole(store)) loads.push_back(i);
        if (body_[i].kind == StmtKind::Store && whole(body_[i]) == whole(store)) stores.push_back(i);
      }
      if (loads.empty()) continue;
      const Stmt& load = body_[loads[0]];
      const bool one_place = loads.size() == 1 && stores.size() == 1 && loads[0] < at && is_plain(load.access) &&
                             is_plain(store.access) && load.access.offset == store.access.offset;
      const LoopBuffer& carry = buffer_of(store);
      if (!one_place || moves(carry) || carry.storage != Storage::Temporary || carry.check_finite) return false;
      carried_.push_back({loads[0], at});
    }
    return true;
  }

  /// A slice becomes what it is a slice of, at an element that the loop moves.
  Stmt moved(Stmt stmt) const {
    if (stmt.kind != StmtKind::Load && stmt.kind != StmtKind::Store) return stmt;
    const LoopBuffer& buffer = buffer_of(stmt);
    if (!moves(buffer)) return stmt;
    const auto loop = static_cast<int32_t>(kernel_.loops.size()) - 1;
    stmt.access.buffer = buffer.ref;
    stmt.access.offset = stmt.access.offset + Affine::of(loop) * num_elements(buffer.type.shape).value();
    return stmt;
  }

  Kernel build() {
    const auto loop = static_cast<int32_t>(kernel_.loops.size());
    kernel_.loops.push_back({"t", steps_.steps, steps_.reverse});
    Sweep before{.loops = {loop}, .ordered = true}, after;
    for (const auto& [load, store] : carried_) {
      const int32_t start = kernel_.num_values++, last = kernel_.num_values++;
      Stmt begin = body_[load], end = body_[store];
      before.carries.push_back({begin.value, start, end.operands[0], last});
      begin.value = start;
      end.operands[0] = last;
      before.setup.push_back(std::move(begin));
      after.setup.push_back(std::move(end));
    }
    for (size_t at = 0; at < body_.size(); ++at) {
      const bool is_carry =
          std::ranges::any_of(carried_, [&](const Carried& each) { return at == each.load || at == each.store; });
      if (!is_carry) before.body.push_back(moved(body_[at]));
    }
    kernel_.sweeps = {std::move(before)};
    if (!after.setup.empty()) kernel_.sweeps.push_back(std::move(after));
    return std::move(kernel_);
  }

  const LoopFunction& function_;
  const int32_t repeat_;
  const Repeat& steps_;
  Kernel kernel_;
  std::vector<Stmt> body_;
  std::vector<Carried> carried_;
};

/// What belonged to the repetition belongs to the one around it. Its slices are read by nobody any more.
void remove_repeat(LoopFunction& function, int32_t removed) {
  const int32_t parent = function.repeats[static_cast<size_t>(removed)].parent;
  const auto renumber = [&](int32_t& repeat) {
    if (repeat == removed) repeat = parent;
    if (repeat > removed) --repeat;
  };
  for (LoopBuffer& buffer : function.buffers) {
    if (buffer.storage == Storage::Slice && buffer.repeat == removed) {
      buffer.storage = Storage::Temporary;
      buffer.ref = -1;
    }
    renumber(buffer.repeat);
  }
  for (Repeat& repeat : function.repeats) renumber(repeat.parent);
  function.repeats.erase(function.repeats.begin() + removed);
}

}  // namespace

LoopFunction step_in_kernels(LoopFunction function) {
  // Inner ones come behind the outer ones: those go first, and outer ones keep their numbers.
  for (auto repeat = static_cast<int32_t>(function.repeats.size()) - 1; repeat >= 0; --repeat) {
    std::optional<Kernel> kernel = Stepper(function, repeat).run();
    if (!kernel) continue;
    function.kernels[static_cast<size_t>(function.repeats[static_cast<size_t>(repeat)].first)] = std::move(*kernel);
    remove_repeat(function, repeat);
  }
  return function;
}

}  // namespace smelt
