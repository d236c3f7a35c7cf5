#include "compiler/lower/write_rows.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "compiler/loops/arithmetic.h"

namespace smelt {
namespace {

/// A store of select(position of `loop` == `row`, `value`, what is there).
struct RowStore {
  size_t sweep = 0;
  int32_t store_of = -1;  // the value of the select
  int32_t value = -1, row = -1, loop = -1;
  Stmt store, load;
};

/// The statements of a kernel by the values that they define.
class Definitions {
 public:
  explicit Definitions(const Kernel& kernel) : of_(static_cast<size_t>(kernel.num_values)) {
    note(kernel.setup);
    num_setup_ = known_.size();
    for (const Sweep& sweep : kernel.sweeps) {
      note(sweep.setup);
      note(sweep.body);
    }
  }

  const Stmt* of(int32_t value) const { return of_[static_cast<size_t>(value)]; }
  bool is_in_setup(int32_t value) const {
    return std::ranges::find(known_.begin(), known_.begin() + static_cast<std::ptrdiff_t>(num_setup_), value) !=
           known_.begin() + static_cast<std::ptrdiff_t>(num_setup_);
  }

  /// All values that `value` is computed from; nothing when one of them is a sum or a carry of a sweep.
  std::optional<std::set<int32_t>> needed_for(int32_t value) const {
    std::set<int32_t> needed;
    std::vector<int32_t> open{value};
    while (!open.empty()) {
      const int32_t next = open.back();
      open.pop_back();
      if (next < 0 || !needed.insert(next).second) continue;
      const Stmt* stmt = of(next);
      if (stmt == nullptr || stmt->kind == StmtKind::Random || stmt->kind == StmtKind::Product) return std::nullopt;
      open.insert(open.end(), stmt->operands.begin(), stmt->operands.end());
      open.push_back(stmt->access.row);
      open.push_back(stmt->access.predicate);
    }
    return needed;
  }

 private:
  void note(const std::vector<Stmt>& statements) {
    for (const Stmt& stmt : statements) {
      if (stmt.value < 0) continue;
      of_[static_cast<size_t>(stmt.value)] = &stmt;
      known_.push_back(stmt.value);
    }
  }

  std::vector<const Stmt*> of_;
  std::vector<int32_t> known_;
  size_t num_setup_ = 0;
};

class WrittenRowFinder {
 public:
  WrittenRowFinder(const LoopFunction& function, const Kernel& kernel)
      : function_(function), kernel_(kernel), definitions_(kernel) {}

  std::optional<RowStore> find() const {
    if (kernel_.kind() != KernelKind::Nest || !kernel_.guarded.empty()) return std::nullopt;
    for (size_t s = 0; s < kernel_.sweeps.size(); ++s) {
      if (kernel_.sweeps[s].ordered) continue;
      for (const auto* body : {&kernel_.sweeps[s].setup, &kernel_.sweeps[s].body}) {
        for (const Stmt& stmt : *body) {
          std::optional<RowStore> found = stmt.kind == StmtKind::Store ? match(stmt) : std::nullopt;
          if (!found) continue;
          found->sweep = s;
          return found;
        }
      }
    }
    return std::nullopt;
  }

 private:
  std::optional<RowStore> match(const Stmt& store) const {
    const Stmt* select = definitions_.of(store.operands[0]);
    if (select == nullptr || !computes(*select, "select")) return std::nullopt;
    const Stmt* load = definitions_.of(select->operands[2]);
    if (load == nullptr || load->kind != StmtKind::Load || load->access.offset != store.access.offset ||
        load->access.row >= 0 || load->access.predicate >= 0 || !is_kept_in(load->access.buffer, store.access.buffer))
      return std::nullopt;
    RowStore found{.store_of = select->value, .value = select->operands[1], .store = store, .load = *load};
    found.load.access.buffer = store.access.buffer;  // of a variable, what is there now
    if (!find_row(definitions_.of(select->operands[0]), found)) return std::nullopt;
    if (store.access.offset.coefficient(found.loop) == 0) return std::nullopt;
    return found;
  }

  /// Whether `now` is the place of `before`: a carry, or a variable with its old value and its new one. Nothing else of
  /// the kernel is there.
  bool is_kept_in(int32_t before, int32_t now) const {
    const LoopBuffer& from = function_.buffers[static_cast<size_t>(before)];
    const LoopBuffer& to = function_.buffers[static_cast<size_t>(now)];
    if (to.check_finite) return false;
    if (to.storage == Storage::Temporary) return before == now && num_accesses(now) == 2;
    const bool same = from.storage == Storage::Variable && to.storage == Storage::Variable && from.ref == to.ref;
    return same && num_accesses(before) == 1 && num_accesses(now) == 1;
  }

  /// Of `position == row`: a loop, and what is the same at all of its turns.
  bool find_row(const Stmt* condition, RowStore& found) const {
    if (condition == nullptr || !computes(*condition, "eq")) return false;
    for (const size_t k : {size_t{0}, size_t{1}}) {
      const Stmt* position = definitions_.of(condition->operands[k]);
      if (position == nullptr || position->kind != StmtKind::Index || !position->index.is_index()) continue;
      if (!definitions_.is_in_setup(condition->operands[1 - k])) continue;
      found.loop = position->index.terms[0].first;
      found.row = condition->operands[1 - k];
      return true;
    }
    return false;
  }

  int64_t num_accesses(int32_t buffer) const {
    int64_t count = 0;
    const auto add = [&](const std::vector<Stmt>& statements) {
      count += std::ranges::count_if(statements, [&](const Stmt& stmt) { return stmt.access.buffer == buffer; });
    };
    add(kernel_.setup);
    for (const Sweep& sweep : kernel_.sweeps) {
      add(sweep.setup);
      add(sweep.body);
    }
    return count;
  }

  const LoopFunction& function_;
  const Kernel& kernel_;
  const Definitions definitions_;
};

/// The kernel that writes the row. Loops of other sweeps than its own are left out.
Kernel row_kernel(const Kernel& kernel, const RowStore& row) {
  const std::set<int32_t> needed = *Definitions(kernel).needed_for(row.value);
  Kernel result;
  result.label = "row";
  result.num_outer = kernel.num_outer;
  result.num_values = kernel.num_values;
  result.group = kernel.group;
  result.span = kernel.span;
  result.setup = kernel.setup;
  std::vector<Affine> places(kernel.loops.size());  // of old loops, as new ones
  const Sweep& own = kernel.sweeps[row.sweep];
  const bool in_body = std::ranges::any_of(own.body, [&](const Stmt& stmt) { return stmt.value == row.store_of; });
  for (int32_t l = 0; l < static_cast<int32_t>(kernel.loops.size()); ++l) {
    const bool inner = in_body && std::ranges::find(own.loops, l) != own.loops.end();
    if (l >= kernel.num_outer && !inner) continue;
    places[static_cast<size_t>(l)] = Affine::of(static_cast<int32_t>(result.loops.size()));
    result.loops.push_back(kernel.loops[static_cast<size_t>(l)]);
    if (l == row.loop) result.loops.back().only = row.row;
  }
  Sweep sweep;
  const auto keep = [&](const std::vector<Stmt>& from, std::vector<Stmt>& to) {
    for (Stmt stmt : from) {
      if (stmt.value < 0 || !needed.contains(stmt.value)) continue;
      stmt.index = substitute(stmt.index, places);
      stmt.access.offset = substitute(stmt.access.offset, places);
      to.push_back(std::move(stmt));
    }
  };
  for (size_t s = 0; s <= row.sweep; ++s) keep(kernel.sweeps[s].setup, sweep.setup);
  if (in_body) {
    for (const int32_t loop : own.loops) sweep.loops.push_back(places[static_cast<size_t>(loop)].terms[0].first);
    keep(own.body, sweep.body);
  }
  Stmt store = row.store;
  store.operands = {row.value};
  store.access.offset = substitute(store.access.offset, places);
  (in_body ? sweep.body : sweep.setup).push_back(std::move(store));
  result.sweeps.push_back(std::move(sweep));
  return result;
}

void drop(std::vector<Stmt>& body, int32_t value) {
  std::erase_if(body, [&](const Stmt& stmt) { return stmt.value == value; });
}

/// What is left of the kernel: the select is what lies there now.
void read_row(Kernel& kernel, const RowStore& row) {
  Sweep& sweep = kernel.sweeps[row.sweep];
  for (std::vector<Stmt>* body : {&sweep.setup, &sweep.body}) {
    std::erase_if(*body, [&](const Stmt& stmt) {
      return stmt.kind == StmtKind::Store && stmt.access.buffer == row.store.access.buffer;
    });
    for (Stmt& stmt : *body) {
      if (stmt.value != row.store_of) continue;
      const int32_t value = stmt.value;
      stmt = row.load;
      stmt.value = value;
    }
    drop(*body, row.load.value);
  }
}

/// Whether anything but the definition of `by`, and the stores of it, reads a value.
bool is_read(const Kernel& kernel, int32_t value, int32_t by) {
  const auto reads = [&](const Stmt& stmt) {
    const bool own = stmt.value == by || (stmt.kind == StmtKind::Store && value == by);
    return !own && (std::ranges::find(stmt.operands, value) != stmt.operands.end() || stmt.access.row == value ||
                    stmt.access.predicate == value);
  };
  return std::ranges::any_of(kernel.sweeps, [&](const Sweep& sweep) {
    return std::ranges::any_of(sweep.setup, reads) || std::ranges::any_of(sweep.body, reads) ||
           std::ranges::any_of(sweep.folds, [&](const Fold& fold) { return fold.input == value; }) ||
           std::ranges::any_of(sweep.carries,
                               [&](const Carry& carry) { return carry.start == value || carry.next == value; });
  });
}

/// Values that are left, after some went.
void count_values(Kernel& kernel) {
  int32_t last = -1;
  const auto note = [&](const std::vector<Stmt>& statements) {
    for (const Stmt& stmt : statements) last = std::max(last, stmt.value);
  };
  note(kernel.setup);
  for (const Sweep& sweep : kernel.sweeps) {
    note(sweep.setup);
    note(sweep.body);
    for (const Fold& fold : sweep.folds) last = std::max(last, fold.result);
    for (const Carry& carry : sweep.carries) last = std::max({last, carry.value, carry.last});
  }
  kernel.num_values = last + 1;
}

std::set<int32_t> stored_by(const Kernel& kernel) {
  std::set<int32_t> buffers;
  const auto note = [&](const std::vector<Stmt>& statements) {
    for (const Stmt& stmt : statements) {
      if (stmt.kind == StmtKind::Store) buffers.insert(stmt.access.buffer);
    }
  };
  for (const Sweep& sweep : kernel.sweeps) {
    note(sweep.setup);
    note(sweep.body);
  }
  return buffers;
}

/// The sweep does nothing but to store the row: its loop has one turn.
bool write_in_sweep(Kernel& kernel, const RowStore& row) {
  Sweep& sweep = kernel.sweeps[row.sweep];
  const auto is_store = [](const Stmt& stmt) { return stmt.kind == StmtKind::Store; };
  if (std::ranges::find(sweep.loops, row.loop) == sweep.loops.end() || !sweep.folds.empty() ||
      std::ranges::count_if(sweep.body, is_store) != 1)
    return false;
  kernel.loops[static_cast<size_t>(row.loop)].only = row.row;
  std::ranges::find_if(sweep.body, is_store)->operands = {row.value};
  drop(sweep.body, row.store_of);
  drop(sweep.body, row.load.value);
  count_values(kernel);
  return true;
}

/// Whether the row can be written before the rest of the kernel runs.
bool can_come_first(const Kernel& kernel, const RowStore& row) {
  const Definitions definitions(kernel);
  const std::set<int32_t> stored = stored_by(kernel);
  return std::ranges::none_of(*definitions.needed_for(row.value),
                              [&](int32_t value) { return stored.contains(definitions.of(value)->access.buffer); });
}

/// Takes the row out of kernel `k`. False: the kernel stays as it is.
bool write_row(LoopFunction& function, size_t k, const RowStore& row) {
  Kernel& kernel = function.kernels[k];
  // The old value is read by the select alone.
  if (is_read(kernel, row.load.value, row.store_of)) return false;
  const bool goes_on = is_read(kernel, row.store_of, row.store_of);
  if (!goes_on && write_in_sweep(kernel, row)) return true;
  if (!Definitions(kernel).needed_for(row.value) || (goes_on && !can_come_first(kernel, row))) return false;
  Kernel writer = row_kernel(kernel, row);
  count_values(writer);
  read_row(kernel, row);
  count_values(kernel);
  if (stored_by(kernel).empty()) {
    kernel = std::move(writer);
  } else {
    // Behind the kernel, whose other values it may read; before it when that reads the row.
    insert_kernel(function, k, std::move(writer));
    if (!goes_on) std::swap(function.kernels[k], function.kernels[k + 1]);
  }
  return true;
}

}  // namespace

LoopFunction write_rows(LoopFunction function) {
  for (size_t k = 0; k < function.kernels.size(); ++k) {
    // One after the other: each changes what the next one is found in.
    while (const std::optional<RowStore> row = WrittenRowFinder(function, function.kernels[k]).find()) {
      if (!write_row(function, k, *row)) break;
    }
  }
  return function;
}

}  // namespace smelt
