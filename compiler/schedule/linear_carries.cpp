#include "compiler/schedule/linear_carries.h"

#include <algorithm>
#include <map>
#include <utility>

#include "compiler/loops/arithmetic.h"
#include "compiler/loops/walk.h"

namespace smelt {
namespace {

std::set<int32_t> stored_buffers(const Kernel& kernel) {
  std::set<int32_t> stored;
  for_each_body(kernel, [&](const std::vector<Stmt>& body) {
    for (const Stmt& stmt : body) {
      if (stmt.kind == StmtKind::Store) stored.insert(stmt.access.buffer);
    }
  });
  return stored;
}

/// Looks for the paths of one sweep's carries.
class CarryFinder {
 public:
  CarryFinder(const Kernel& kernel, const Sweep& sweep) : sweep_(sweep), invariant_(invariant_values(kernel, sweep)) {
    for (const Stmt& stmt : kernel.setup) note_constant(stmt);
    for (const Stmt& stmt : sweep.body) note_constant(stmt);
    for (const Stmt& stmt : kernel.setup) invariant_.insert(stmt.value);
  }

  std::optional<std::vector<LinearCarry>> run() {
    std::vector<LinearCarry> carries;
    for (const Carry& carry : sweep_.carries) {
      reached_.push_back(reached_from(carry.value));
      std::optional<LinearCarry> linear = path_of(carry, reached_.back());
      if (!linear) return std::nullopt;
      carries.push_back(std::move(*linear));
    }
    if (!have_order(carries)) return std::nullopt;
    return carries;
  }

 private:
  void note_constant(const Stmt& stmt) {
    if (stmt.kind == StmtKind::Constant) constants_[stmt.value] = stmt.constant;
  }

  template <typename Visit>
  static void for_each_operand(const Stmt& stmt, const Visit& visit) {
    for (const int32_t operand : stmt.operands) visit(operand);
    if (stmt.access.row >= 0) visit(stmt.access.row);
    if (stmt.access.predicate >= 0) visit(stmt.access.predicate);
  }

  static bool reads(const Stmt& stmt, const std::set<int32_t>& values) {
    bool found = false;
    for_each_operand(stmt, [&](int32_t operand) { found = found || values.contains(operand); });
    return found;
  }

  /// `value`, and what a turn computes from it.
  std::set<int32_t> reached_from(int32_t value) const {
    std::set<int32_t> reached = {value};
    for (const Stmt& stmt : sweep_.body) {
      if (stmt.value >= 0 && reads(stmt, reached)) reached.insert(stmt.value);
    }
    return reached;
  }

  std::optional<size_t> definition(int32_t value) const {
    for (size_t at = 0; at < sweep_.body.size(); ++at) {
      if (sweep_.body[at].value == value && value >= 0) return at;
    }
    return std::nullopt;
  }

  std::optional<LinearCarry> path_of(const Carry& carry, const std::set<int32_t>& reached) const {
    LinearCarry linear{.values = {carry.value}};
    int factors = 0;
    for (int32_t value = carry.next; value != carry.value;) {
      const std::optional<size_t> at = definition(value);
      if (!at) return std::nullopt;
      const Stmt& stmt = sweep_.body[*at];
      const bool is_product = computes(stmt, "mul"), is_difference = computes(stmt, "sub");
      if (!is_float(stmt.dtype) || !(is_product || is_difference || computes(stmt, "add"))) return std::nullopt;
      const bool first = reached.contains(stmt.operands[0]), second = reached.contains(stmt.operands[1]);
      if (first == second || (is_difference && second)) return std::nullopt;
      const int32_t other = stmt.operands[first ? 1 : 0];
      if (is_product && !invariant_.contains(other)) return std::nullopt;
      if (is_product && ++factors == 1 && constants_.contains(other)) linear.factor = constants_.at(other);
      if (factors > 1) linear.factor.reset();
      linear.path.insert(linear.path.begin(), *at);
      linear.values.insert(value);
      value = stmt.operands[first ? 0 : 1];
    }
    if (linear.path.empty() || is_read_inside(linear, carry)) return std::nullopt;
    linear.is_read = is_read_at_ends(linear, carry);
    return linear;
  }

  bool is_on(const LinearCarry& linear, size_t at) const {
    return std::ranges::find(linear.path, at) != linear.path.end();
  }

  /// Whether a statement that is not on the path, or another carry, needs what lies between its ends.
  bool is_read_inside(const LinearCarry& linear, const Carry& carry) const {
    std::set<int32_t> inside = linear.values;
    inside.erase(carry.value);
    inside.erase(carry.next);
    for (size_t at = 0; at < sweep_.body.size(); ++at) {
      if (!is_on(linear, at) && reads(sweep_.body[at], inside)) return true;
    }
    return std::ranges::any_of(sweep_.carries, [&](const Carry& each) { return inside.contains(each.next); });
  }

  bool is_read_at_ends(const LinearCarry& linear, const Carry& carry) const {
    const std::set<int32_t> ends = {carry.value, carry.next};
    for (size_t at = 0; at < sweep_.body.size(); ++at) {
      if (!is_on(linear, at) && reads(sweep_.body[at], ends)) return true;
    }
    return false;
  }

  /// Whether there is an order in which each carry needs only those before it.
  bool have_order(const std::vector<LinearCarry>& carries) const {
    std::vector<bool> placed(carries.size(), false);
    for (size_t round = 0; round < carries.size(); ++round) {
      for (size_t c = 0; c < carries.size(); ++c) {
        if (!placed[c]) placed[c] = needs_only(carries, c, placed);
      }
    }
    return std::ranges::all_of(placed, [](bool each) { return each; });
  }

  bool needs_only(const std::vector<LinearCarry>& carries, size_t c, const std::vector<bool>& placed) const {
    for (size_t other = 0; other < carries.size(); ++other) {
      if (other == c || placed[other]) continue;
      for (const size_t at : carries[c].path) {
        if (reached_[other].contains(carries[c].other(sweep_.body[at]))) return false;
      }
    }
    return true;
  }

  const Sweep& sweep_;
  std::set<int32_t> invariant_;
  std::map<int32_t, double> constants_;
  std::vector<std::set<int32_t>> reached_;  // by carry
};

}  // namespace

std::set<int32_t> invariant_values(const Kernel& kernel, const Sweep& sweep) {
  const std::set<int32_t> stored = stored_buffers(kernel);
  std::set<int32_t> invariant, outside;
  for (const Stmt& stmt : kernel.setup) outside.insert(stmt.value);
  const auto is_invariant = [&](int32_t value) { return invariant.contains(value) || outside.contains(value); };
  for (const Stmt& stmt : sweep.body) {
    const bool is_load = stmt.kind == StmtKind::Load && stmt.access.offset.terms.empty() && stmt.access.row < 0 &&
                         stmt.access.predicate < 0 && !stored.contains(stmt.access.buffer);
    const bool is_result = stmt.kind == StmtKind::Compute && std::ranges::all_of(stmt.operands, is_invariant);
    if (is_load || is_result || stmt.kind == StmtKind::Constant) invariant.insert(stmt.value);
  }
  return invariant;
}

std::optional<std::vector<LinearCarry>> linear_carries(const Kernel& kernel, const Sweep& sweep) {
  return CarryFinder(kernel, sweep).run();
}

}  // namespace smelt
