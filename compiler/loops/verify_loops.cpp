#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "compiler/loops/loop_ir.h"

namespace smelt {
namespace {

class Verifier {
 public:
  Verifier(const LoopFunction& function, LoopStage stage) : function_(function), stage_(stage) {}

  std::vector<std::string> run() {
    if (stage_ >= LoopStage::Tiled && !function_.lanes)
      violations_.push_back(fmt::format("{}: vectors have no lanes", function_.name));
    for (size_t k = 0; k < function_.kernels.size(); ++k) check(k);
    for (size_t r = 0; r < function_.repeats.size(); ++r) check_repeat(r);
    for (const LoopBuffer& buffer : function_.buffers) {
      check_slice(buffer);
      if (stage_ == LoopStage::Placed) check_place(buffer);
    }
    return std::move(violations_);
  }

 private:
  template <typename... Args>
  void violation(fmt::format_string<Args...> format, Args&&... args) {
    violations_.push_back(fmt::format("{}.{}: {}", function_.name, name_of(function_, number_),
                                      fmt::format(format, std::forward<Args>(args)...)));
  }

  void check_repeat(size_t r) {
    const Repeat& repeat = function_.repeats[r];
    const Repeat* parent = repeat.parent < 0 ? nullptr : &function_.repeats[static_cast<size_t>(repeat.parent)];
    const bool inside = parent == nullptr
                            ? repeat.first >= 0 && repeat.last <= static_cast<int32_t>(function_.kernels.size())
                            : repeat.first >= parent->first && repeat.last <= parent->last;
    if (!inside || repeat.first > repeat.last || repeat.parent >= static_cast<int32_t>(r))
      violations_.push_back(fmt::format("{}: repetition {} does not nest", function_.name, r));
    if (repeat.steps.scale != 1)
      violations_.push_back(fmt::format("{}: repetition {} multiplies its steps", function_.name, r));
    check_until(r);
  }

  void check_until(size_t r) {
    const int32_t until = function_.repeats[r].until;
    if (until < 0) return;
    const bool is_flag = is_buffer(until) &&
                         function_.buffers[static_cast<size_t>(until)].storage == Storage::Temporary &&
                         function_.buffers[static_cast<size_t>(until)].type == TensorType{DType::I32, {}};
    if (!is_flag) violations_.push_back(fmt::format("{}: repetition {} stops by no number", function_.name, r));
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

  void check_place(const LoopBuffer& buffer) {
    if (buffer.storage != Storage::Temporary) return;
    const ArenaRange& range = function_.temporaries;
    const int64_t end = buffer.offset + byte_size(buffer.type).value_or(0);
    // One that nobody touches has no place.
    if (buffer.offset != 0 && (buffer.offset < range.begin || end > range.end))
      violations_.push_back(fmt::format("{}: `{}` lies at bytes {} to {}, outside of {} to {}", function_.name,
                                        buffer.name, buffer.offset, end, range.begin, range.end));
    if (!is_buffer(buffer.over)) return;
    const LoopBuffer& below = function_.buffers[static_cast<size_t>(buffer.over)];
    if (below.storage != Storage::Temporary || size_of(below.type.dtype) != size_of(buffer.type.dtype))
      violations_.push_back(fmt::format("{}: `{}` cannot take over `{}`", function_.name, buffer.name, below.name));
  }

  void check(size_t number) {
    number_ = number;
    const Kernel& kernel = function_.kernels[number];
    kernel_ = &kernel;
    defined_.assign(static_cast<size_t>(kernel.num_values), false);
    if (stage_ < LoopStage::Scheduled && kernel.kind() == KernelKind::Pack)
      violation("packs before operands are packed");
    if (stage_ < LoopStage::Tiled && kernel.kind() == KernelKind::Product && kernel.product().schedule)
      violation("says how before it is scheduled");
    if (kernel.kind() == KernelKind::Product) check_product(kernel.product());
    if (kernel.kind() == KernelKind::Pack) check_pack(kernel.pack());
    if (kernel.vector_outer && kernel.num_outer == 0) violation("vectorizes outer loops that it does not have");
    in_scope_.assign(kernel.loops.size(), false);
    check(kernel.setup);
    for (const Loop& loop : kernel.loops) check_only(loop);
    for (int32_t loop = 0; loop < kernel.num_outer; ++loop) in_scope_[static_cast<size_t>(loop)] = true;
    for (const Sweep& sweep : kernel.sweeps) check(sweep);
    if (!std::ranges::all_of(kernel.guarded, [&](int32_t b) { return is_buffer(b); })) violation("guards no buffer");
  }

  void check_only(const Loop& loop) {
    if (loop.only < 0) return;
    use(loop.only);
    const bool in_vectors =
        kernel_->vector_outer && &loop == &kernel_->loops[static_cast<size_t>(kernel_->num_outer) - 1];
    if (kernel_->kind() != KernelKind::Nest || in_vectors || loop.reverse)
      violation("loop `{}` has one turn, and runs in an order", loop.name);
  }

  void check(const Sweep& sweep) {
    check(sweep.setup);
    if (sweep.vectorize && sweep.loops.empty()) violation("vectorizes a sweep without loops");
    if (sweep.vectorize && (sweep.ordered || kernel_->vector_outer)) violation("vectorizes a sweep that may not be");
    if (stage_ < LoopStage::Tiled && (sweep.vectorize || kernel_->vector_outer) && !function_.lanes)
      violation("has vectors without lanes");
    for (const int32_t loop : sweep.loops) {
      if (loop < kernel_->num_outer || loop >= static_cast<int32_t>(kernel_->loops.size())) {
        violation("sweeps over loop {}", loop);
        return;
      }
      in_scope_[static_cast<size_t>(loop)] = true;
    }
    const std::vector<bool> outside = defined_;
    if (!sweep.ordered && (!sweep.carries.empty() || turns_back(sweep)))
      violation("hands on where turns have no order");
    for (const Carry& carry : sweep.carries) {
      use(carry.start);
      define(carry.value);
    }
    check(sweep.body);
    for (const Carry& carry : sweep.carries) use(carry.next);
    for (const Fold& fold : sweep.folds) use(fold.input);
    defined_ = outside;  // what a body computes is gone after its loops, but for folds
    for (const Carry& carry : sweep.carries) define(carry.last);
    for (const Fold& fold : sweep.folds) define(fold.result);
    for (const int32_t loop : sweep.loops) in_scope_[static_cast<size_t>(loop)] = false;
  }

  bool turns_back(const Sweep& sweep) const {
    return std::ranges::any_of(sweep.loops,
                               [&](int32_t loop) { return kernel_->loops[static_cast<size_t>(loop)].reverse; });
  }

  void check(const std::vector<Stmt>& statements) {
    for (const Stmt& stmt : statements) check(stmt);
  }

  void check(const Stmt& stmt) {
    for (const int32_t operand : stmt.operands) use(operand);
    if (stmt.kind == StmtKind::Load || stmt.kind == StmtKind::Store) check_access(stmt);
    if (stmt.kind == StmtKind::Index || stmt.kind == StmtKind::Random) check_loops(stmt.index);
    if ((stmt.kind == StmtKind::Compute || stmt.kind == StmtKind::Random) && stmt.body == nullptr)
      violation("%{} is computed by nothing", stmt.value);
    if (stmt.kind == StmtKind::Product && kernel_->kind() != KernelKind::Product)
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

  void check_product(const Product& product) {
    if (product.pairs.empty()) return violation("a product without operands");
    for (const ProductOperands& pair : product.pairs) {
      if (!is_buffer(pair.a)) return violation("a product without a left operand");
      if (!is_buffer(pair.b)) return violation("a product without a right operand");
      if (!(alike(pair.a, product.pairs[0].a) && alike(pair.b, product.pairs[0].b)))
        violation("adds up products of unlike operands");
    }
    if (product.inner.empty()) return violation("a product that sums nothing");
    if (stage_ >= LoopStage::Tiled && !product.schedule) return violation("a product without a tile");
    if (product.schedule) check_schedule(product, *product.schedule);
  }

  void check_schedule(const Product& product, const ProductSchedule& schedule) {
    if (schedule.tile.rows < 1 || schedule.tile.columns < 1) violation("a tile of no elements");
    if (function_.lanes && schedule.tile.columns % function_.lanes->count != 0)
      violation("a tile of {} columns, with vectors of {} lanes", schedule.tile.columns, function_.lanes->count);
    if (schedule.blocks && !is_buffer(schedule.blocks->sums)) violation("sums of blocks have no buffer");
    if (stage_ < LoopStage::Scheduled) return;
    if (schedule.multiply == Multiply::Bf16Pairs) check_bf16_pairs(product, schedule);
    if (schedule.left == LeftOperand::PairPanel && schedule.multiply != Multiply::Bf16Pairs)
      violation("a left panel of pairs that are not multiplied as pairs");
    if (is_packed(schedule)) check_panels(product);
    if (schedule.left == LeftOperand::InStrips &&
        (!std::holds_alternative<CopiedColumns>(schedule.right) || product.row.a_stride != 1))
      violation("strips of rows that are not side by side, or whose columns are not copied");
    if (schedule.form == ProductForm::Dot) {
      if (product.pairs.size() > 1) violation("dot products of several pairs");
      if (product.inner.size() > kMicroKernelAxes || product.inner.back().a_stride != 1)
        violation("dot products of rows that do not lie along the depth");
      if (product.inner.back().b_stride != 1) violation("dot products of columns that do not lie along the depth");
    } else if (!is_packed(schedule) && product.column.extent != Extent(1) && product.column.b_stride != 1) {
      violation("columns are {} apart and not packed", product.column.b_stride);
    }
  }

  /// The last column of the last panel ends inside of the buffer.
  void check_panels(const Product& product) {
    const auto& panels = std::get<PackedColumns>(product.schedule->right);
    const int64_t columns = product.schedule->form == ProductForm::Dot
                                ? std::max<int64_t>(product.column.extent.bound, 1)
                                : product.schedule->tile.columns;
    int64_t reach = (product.column.extent.bound + columns - 1) / columns * panels.panel_elements;
    for (const ProductAxis& axis : product.outer) reach += axis.b_stride * std::max<int64_t>(axis.extent.bound - 1, 0);
    int64_t depth = product.schedule->form == ProductForm::Dot ? 1 : columns;  // elements of a step
    for (const ProductAxis& axis : product.inner)
      depth += std::abs(axis.b_stride) * std::max<int64_t>(axis.extent.bound - 1, 0);
    if (product.schedule->form != ProductForm::Dot && depth > panels.panel_elements)
      violation("panels of {} elements for {} of the depth", panels.panel_elements, depth);
    for (const ProductOperands& pair : product.pairs) check_room(pair.b, reach);
  }

  void check_room(int32_t buffer, int64_t elements) {
    const LoopBuffer& panels = function_.buffers[static_cast<size_t>(buffer)];
    const std::optional<int64_t> size = num_elements(panels.type.shape);
    if (!size || *size < elements)
      violation("panels of {} elements in `{}`, which has {}", elements, panels.name, size.value_or(0));
  }

  void check_pack(const Pack& pack) {
    if (!is_buffer(pack.from) || !is_buffer(pack.to)) return violation("packs from or into no buffer");
    if (pack.width < 1) return violation("packs panels of no columns");
    const bool one_panel = pack.form == PanelForm::Depth;
    const bool has_vectors = one_panel || !function_.lanes || pack.width % function_.lanes->count == 0;
    if (!has_vectors && pack.units == PackUnits::Panels)
      violation("panels of {} columns, with vectors of {} lanes", pack.width, function_.lanes->count);
    if (pack.form == PanelForm::Pairs && !is_bf16(pack.to)) violation("pairs that are not bf16");
    if (pack.units == PackUnits::Steps && (pack.form != PanelForm::Pairs || pack.column.from != 1))
      violation("steps are shared of a panel that cannot be filled by them");
    const int64_t columns = pack.column.extent.bound, panels = (columns + pack.width - 1) / pack.width;
    int64_t reach = std::max<int64_t>((one_panel ? columns : panels) - 1, 0) * pack.column.to +
                    pack.depth.extent.bound * pack.depth.to;
    for (const PackAxis& axis : pack.outer) reach += axis.to * std::max<int64_t>(axis.extent.bound - 1, 0);
    check_room(pack.to, reach);
  }

  void check_bf16_pairs(const Product& product, const ProductSchedule& schedule) {
    if (!function_.bf16_products) violation("multiplies pairs of bf16, which the function may not");
    if (!is_packed(schedule)) violation("pairs of a right operand that is not packed");
    for (const ProductOperands& pair : product.pairs) {
      if (!is_bf16(pair.a) || !is_bf16(pair.b)) violation("pairs that are not bf16 on both sides");
    }
    const bool in_panel = schedule.left == LeftOperand::PairPanel;
    if (in_panel ? product.row.a_stride != 2 : product.inner.back().a_stride != 1)
      violation("pairs of a left operand that does not lie along the depth");
    if (schedule.form != ProductForm::Broadcast || product.dtype != DType::F32)
      violation("pairs in a form that has none");
  }

  bool is_bf16(int32_t buffer) const { return is_buffer(buffer) && dtype_of(function_, buffer) == DType::BF16; }

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
  const LoopStage stage_;
  size_t number_ = 0;  // of the kernel at hand
  const Kernel* kernel_ = nullptr;
  std::vector<bool> defined_, in_scope_;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> verify(const LoopFunction& function, LoopStage stage) {
  return Verifier(function, stage).run();
}

}  // namespace smelt
