#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "compiler/loops/loop_ir.h"
#include "compiler/loops/lower_product.h"

namespace smelt {
namespace {

class Verifier {
 public:
  explicit Verifier(const LoopFunction& function) : function_(function) {}

  std::vector<std::string> run() {
    for (const Kernel& kernel : function_.kernels) check(kernel);
    for (size_t r = 0; r < function_.repeats.size(); ++r) check_repeat(r);
    for (const LoopBuffer& buffer : function_.buffers) check_slice(buffer);
    return std::move(violations_);
  }

 private:
  template <typename... Args>
  void violation(fmt::format_string<Args...> format, Args&&... args) {
    violations_.push_back(
        fmt::format("{}.{}: {}", function_.name, kernel_->name, fmt::format(format, std::forward<Args>(args)...)));
  }

  void check_repeat(size_t r) {
    const Repeat& repeat = function_.repeats[r];
    const Repeat* parent = repeat.parent < 0 ? nullptr : &function_.repeats[static_cast<size_t>(repeat.parent)];
    const bool inside = parent == nullptr
                            ? repeat.first >= 0 && repeat.last <= static_cast<int32_t>(function_.kernels.size())
                            : repeat.first >= parent->first && repeat.last <= parent->last;
    if (!inside || repeat.first > repeat.last || repeat.parent >= static_cast<int32_t>(r))
      violations_.push_back(fmt::format("{}: repetition {} does not nest", function_.name, r));
  }

  void check_slice(const LoopBuffer& buffer) {
    if (buffer.storage != Storage::Slice) return;
    if (!is_buffer(buffer.ref) || buffer.repeat < 0 ||
        buffer.repeat >= static_cast<int32_t>(function_.repeats.size())) {
      violations_.push_back(fmt::format("{}: `{}` is a slice of nothing", function_.name, buffer.name));
      return;
    }
    const std::optional<int64_t> whole = num_elements(function_.buffers[static_cast<size_t>(buffer.ref)].type.shape),
                                 one = num_elements(buffer.type.shape);
    const int64_t steps = function_.repeats[static_cast<size_t>(buffer.repeat)].steps.bound;
    if (!whole || !one || *one * steps > *whole)
      violations_.push_back(fmt::format("{}: `{}` leaves what it is a slice of", function_.name, buffer.name));
  }

  void check(const Kernel& kernel) {
    kernel_ = &kernel;
    defined_.assign(static_cast<size_t>(kernel.num_values), false);
    if (kernel.kind != KernelKind::Nest) check_product(kernel.product, kernel.kind);
    in_scope_.assign(kernel.loops.size(), false);
    check(kernel.setup);
    for (int32_t loop = 0; loop < kernel.num_outer; ++loop) in_scope_[static_cast<size_t>(loop)] = true;
    for (const Sweep& sweep : kernel.sweeps) check(sweep);
    if (!std::ranges::all_of(kernel.guarded, [&](int32_t b) { return is_buffer(b); })) violation("guards no buffer");
  }

  void check(const Sweep& sweep) {
    check(sweep.setup);
    if (sweep.vectorize && sweep.loops.empty()) violation("vectorizes a sweep without loops");
    for (const int32_t loop : sweep.loops) {
      if (loop < kernel_->num_outer || loop >= static_cast<int32_t>(kernel_->loops.size())) {
        violation("sweeps over loop {}", loop);
        return;
      }
      in_scope_[static_cast<size_t>(loop)] = true;
    }
    const std::vector<bool> outside = defined_;
    check(sweep.body);
    for (const Fold& fold : sweep.folds) use(fold.input);
    defined_ = outside;  // what a body computes is gone after its loops, but for folds
    for (const Fold& fold : sweep.folds) define(fold.result);
    for (const int32_t loop : sweep.loops) in_scope_[static_cast<size_t>(loop)] = false;
  }

  void check(const std::vector<Stmt>& statements) {
    for (const Stmt& stmt : statements) check(stmt);
  }

  void check(const Stmt& stmt) {
    for (const int32_t operand : stmt.operands) use(operand);
    if (stmt.kind == StmtKind::Load || stmt.kind == StmtKind::Store) check_access(stmt);
    if (stmt.kind == StmtKind::Index || stmt.kind == StmtKind::Random) check_loops(stmt.index);
    if ((stmt.kind == StmtKind::Compute || stmt.kind == StmtKind::Random) && stmt.body == nullptr)
      violation("`{}` has no body", stmt.name);
    if (stmt.kind == StmtKind::Product && kernel_->kind != KernelKind::Product)
      violation("%{} reads a sum of products in a nest", stmt.value);
    if (stmt.kind == StmtKind::Store) {
      if (stmt.operands.size() != 1) violation("a store of {} values", stmt.operands.size());
    } else {
      define(stmt.value);
    }
  }

  void check_access(const Stmt& stmt) {
    const Access& access = stmt.access;
    if (!is_buffer(access.buffer)) return violation("accesses buffer {}", access.buffer);
    const LoopBuffer& buffer = function_.buffers[static_cast<size_t>(access.buffer)];
    if (stmt.kind == StmtKind::Store && (buffer.storage == Storage::Input || buffer.storage == Storage::Scalar)) {
      violation("stores to `{}`, which is only read", buffer.name);
    }
    if (stmt.dtype != buffer.type.dtype) violation("accesses `{}` as {}", buffer.name, to_string(stmt.dtype));
    if (access.row >= 0) use(access.row);
    if (access.predicate >= 0) use(access.predicate);
    if (check_loops(access.offset) && access.row < 0 && access.predicate < 0) check_bounds(access, buffer);
  }

  void check_bounds(const Access& access, const LoopBuffer& buffer) {
    const std::optional<int64_t> size = num_elements(buffer.type.shape);
    if (!size || *size == 0) return;
    int64_t low = access.offset.constant, high = low;
    for (const auto& [loop, coefficient] : access.offset.terms) {
      const int64_t reach = coefficient * (kernel_->loops[static_cast<size_t>(loop)].extent.bound - 1);
      if (kernel_->loops[static_cast<size_t>(loop)].extent.bound == 0) return;
      (reach < 0 ? low : high) += reach;
    }
    if (low < 0 || high >= *size)
      violation("`{}` has {} elements, accessed at {} to {}", buffer.name, *size, low, high);
  }

  bool check_loops(const Affine& affine) {
    for (const auto& [loop, coefficient] : affine.terms) {
      if (loop < 0 || static_cast<size_t>(loop) >= in_scope_.size() || !in_scope_[static_cast<size_t>(loop)]) {
        violation("an index uses loop {} outside it", loop);
        return false;
      }
    }
    return true;
  }

  void check_product(const Product& product, KernelKind kind) {
    for (const ProductOperands& pair : operand_pairs(product)) {
      if (kind == KernelKind::Product && !is_buffer(pair.a)) violation("a product without a left operand");
      if (!is_buffer(pair.b)) violation("a product without a right operand");
      if (kind == KernelKind::Pack && !is_buffer(pair.packed)) violation("packs into no buffer");
      if ((pair.packed < 0) != (product.packed < 0)) violation("some right operands are packed and others are not");
      if (kind == KernelKind::Product && !(alike(pair.a, product.a) && alike(pair.b, product.b)))
        violation("adds up products of unlike operands");
    }
    if (product.form == ProductForm::Dot && !product.more.empty()) violation("dot products of several pairs");
    if (product.inner.empty()) violation("a product that sums nothing");
    if (product.bf16_pairs && kind == KernelKind::Product) check_bf16_pairs(product);
    if (product.form == ProductForm::Dot) {
      if (product.inner.size() != 1 || product.inner[0].a_stride != 1)
        violation("dot products of rows that do not lie along the depth");
      if (product.packed < 0 && product.inner.back().b_stride != 1)
        violation("dot products of columns that do not lie along the depth");
      return;
    }
    if (product.packed < 0 && product.column.extent != Extent(1) && product.column.b_stride != 1) {
      violation("columns are {} apart and not packed", product.column.b_stride);
    }
  }

  void check_bf16_pairs(const Product& product) {
    const auto is_bf16 = [&](int32_t index) {
      return is_buffer(index) && function_.buffers[static_cast<size_t>(index)].type.dtype == DType::BF16;
    };
    for (const ProductOperands& pair : operand_pairs(product)) {
      if (!is_bf16(pair.a) || !is_bf16(pair.packed)) violation("pairs that are not bf16 on both sides");
    }
    if (reads_left_panel(product) && product.row.a_stride != 2)
      violation("pairs of a left operand that does not lie along the depth");
    if (product.form != ProductForm::Broadcast || product.dtype != DType::F32)
      violation("pairs in a form that has none");
  }

  bool alike(int32_t one, int32_t other) const {
    if (!is_buffer(one) || !is_buffer(other)) return false;
    const TensorType &a = function_.buffers[static_cast<size_t>(one)].type,
                     &b = function_.buffers[static_cast<size_t>(other)].type;
    return num_elements(a.shape) == num_elements(b.shape);
  }
  bool is_buffer(int32_t index) const { return index >= 0 && static_cast<size_t>(index) < function_.buffers.size(); }
  bool is_value(int32_t value) const { return value >= 0 && static_cast<size_t>(value) < defined_.size(); }
  void use(int32_t value) {
    if (!is_value(value) || !defined_[static_cast<size_t>(value)]) violation("%{} is used before it is defined", value);
  }
  void define(int32_t value) {
    if (!is_value(value)) return violation("%{} is no value of the kernel", value);
    if (defined_[static_cast<size_t>(value)]) violation("%{} is defined twice", value);
    defined_[static_cast<size_t>(value)] = true;
  }

  const LoopFunction& function_;
  const Kernel* kernel_ = nullptr;
  std::vector<bool> defined_, in_scope_;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> verify(const LoopFunction& function) { return Verifier(function).run(); }

}  // namespace smelt
