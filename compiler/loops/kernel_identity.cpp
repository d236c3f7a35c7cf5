#include "compiler/loops/kernel_identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <iterator>

#include "compiler/loops/scalar_names.h"

namespace smelt {
namespace {

class Identifier {
 public:
  explicit Identifier(const LoopFunction& function) : function_(function) {}

  KernelIdentity run(const Kernel& kernel) {
    write("kernel", static_cast<int>(kernel.kind()), kernel.num_outer, kernel.vector_outer, kernel.serial,
          kernel.num_values);
    for (const Loop& loop : kernel.loops) {
      add(loop.extent);
      write("turns", loop.reverse, loop.only);
    }
    if (kernel.kind() == KernelKind::Product) add(kernel.product());
    if (kernel.kind() == KernelKind::Pack) add(kernel.pack());
    add(kernel.setup);
    for (const Sweep& sweep : kernel.sweeps) add(sweep);
    return std::move(identity_);
  }

 private:
  template <typename... T>
  void write(std::string_view what, const T&... values) {
    std::string& key = identity_.key;
    key += what;
    ((fmt::format_to(std::back_inserter(key), " {}", values)), ...);
    key += ';';
  }

  /// The buffer's place; what the code knows of a buffer is written at its first use.
  size_t place(int32_t buffer) {
    std::vector<int32_t>& known = identity_.buffers;
    const auto at = static_cast<size_t>(std::ranges::find(known, buffer) - known.begin());
    if (at == known.size()) {
      known.push_back(buffer);
      const LoopBuffer& b = function_.buffers[static_cast<size_t>(buffer)];
      const bool scalar = b.storage == Storage::Scalar;
      write("buffer", to_string(b.type.dtype), b.check_finite, scalar ? static_cast<int>(b.slot) : -1);
    }
    return at;
  }

  void add(const Extent& extent) {
    write("extent", extent.bound, extent.symbol, extent.scale);
    if (!extent.is_static()) identity_.symbols.insert(extent.symbol);
  }

  void add(const Affine& index) {
    write("affine", index.constant);
    for (const auto& [loop, coefficient] : index.terms) write("+", loop, coefficient);
  }

  void add(const ProductAxis& axis) {
    add(axis.extent);
    write("axis", axis.a_stride, axis.b_stride, axis.loop, axis.outer_loop, axis.inner);
  }

  void add(const Product& product) {
    write("product", to_string(product.dtype), product.a_start, product.b_start, product.outer.size(),
          product.inner.size());
    for (const ProductOperands& pair : product.pairs) write("pair", place(pair.a), place(pair.b));
    for (const ProductAxis& axis : product.outer) add(axis);
    add(product.row);
    add(product.column);
    for (const ProductAxis& axis : product.inner) add(axis);
    if (product.schedule) add(*product.schedule);
  }

  void add(const ProductSchedule& schedule) {
    write("tile", static_cast<int>(schedule.form), schedule.tile.rows, schedule.tile.columns,
          static_cast<int>(schedule.multiply), static_cast<int>(schedule.left));
    if (const auto* copied = std::get_if<CopiedColumns>(&schedule.right)) write("copied", copied->steps);
    if (const auto* packed = std::get_if<PackedColumns>(&schedule.right)) write("packed", packed->panel_elements);
    if (schedule.blocks) write("blocks", schedule.blocks->positions, place(schedule.blocks->sums));
  }

  void add(const PackAxis& axis) {
    add(axis.extent);
    write("axis", axis.from, axis.to);
  }

  void add(const Pack& pack) {
    write("pack", place(pack.from), place(pack.to), pack.start, static_cast<int>(pack.form),
          static_cast<int>(pack.units), pack.width, pack.outer.size());
    add(pack.column);
    add(pack.depth);
    for (const PackAxis& axis : pack.outer) add(axis);
  }

  void add(const Access& access) {
    write("access", place(access.buffer), access.row, access.row_stride, access.predicate);
    add(access.offset);
    add(access.row_extent);
  }

  void add(const Attributes& attributes) {
    for (const auto& [name, value] : attributes) {
      write(name);
      std::visit([&](const auto& held) { add_value(held); }, value);
    }
  }
  void add_value(int64_t value) { write("i", value); }
  void add_value(double value) { write("f", std::bit_cast<uint64_t>(value)); }
  void add_value(const std::string& value) { write("s", value); }
  void add_value(const std::vector<int64_t>& values) {
    for (const int64_t value : values) write("i", value);
  }
  void add_value(const IndexFormula& formula) { write("formula", to_string(formula)); }
  void add_value(const TensorType& type) {
    write("t", to_string(type.dtype));
    for (const Extent& extent : type.shape) add(extent);
  }

  void add(const Stmt& stmt) {
    write("stmt", static_cast<int>(stmt.kind), stmt.value, to_string(stmt.dtype), stmt.symbol,
          std::bit_cast<uint64_t>(stmt.constant));
    if (stmt.body != nullptr) write(name_of(stmt.body));
    for (const int32_t operand : stmt.operands) write("%", operand);
    if (stmt.kind == StmtKind::Extent) identity_.symbols.insert(stmt.symbol);
    if (stmt.kind == StmtKind::Random) identity_.draws.push_back(stmt.draw);  // given with the call
    add(stmt.attrs);
    if (stmt.kind == StmtKind::Index || stmt.kind == StmtKind::Random) add(stmt.index);
    if (stmt.kind == StmtKind::Load || stmt.kind == StmtKind::Store) add(stmt.access);
  }
  void add(const std::vector<Stmt>& body) {
    write("{");
    for (const Stmt& stmt : body) add(stmt);
    write("}");
  }

  void add(const Sweep& sweep) {
    write("sweep", sweep.ordered, sweep.vectorize);
    for (const int32_t loop : sweep.loops) write("over", loop);
    add(sweep.setup);
    add(sweep.body);
    for (const Carry& carry : sweep.carries) write("carry", carry.value, carry.start, carry.next, carry.last);
    for (const Fold& fold : sweep.folds) {
      write("fold", name_of(fold.body), fold.input, fold.result, to_string(fold.dtype),
            std::bit_cast<uint64_t>(fold.identity));
      add(fold.attrs);
    }
  }

  const LoopFunction& function_;
  KernelIdentity identity_;
};

}  // namespace

KernelIdentity identify(const LoopFunction& function, const Kernel& kernel) { return Identifier(function).run(kernel); }

std::string identify(const LoopProgram& program) {
  std::string key = fmt::format("{} {}\n", program.iteration_symbol, fmt::join(program.iteration, ","));
  for (const LoopFunction& function : program.functions) {
    key +=
        fmt::format("{} runs {} advances {} stamps {} lanes {} {}\n", function.name, function.runs_offset,
                    function.advances, function.stamps_offset, to_string(function.lanes->dtype), function.lanes->count);
    for (const Repeat& repeat : function.repeats) {
      const int64_t until = repeat.until < 0 ? -1 : function.buffers[static_cast<size_t>(repeat.until)].offset;
      key += fmt::format("repeat {} {} {} {} {} {} {}\n", repeat.first, repeat.last, repeat.parent, repeat.steps.bound,
                         repeat.steps.symbol, repeat.reverse, until);
    }
    for (size_t k = 0; k < function.kernels.size(); ++k) {
      const Kernel& kernel = function.kernels[k];
      const KernelIdentity identity = identify(function, kernel);
      key += fmt::format("{} guards {}\n{}\n", name_of(function, k), fmt::join(kernel.guarded, ","), identity.key);
      for (const int32_t b : identity.buffers) {
        // Of a slice also what it is a slice of.
        for (int32_t at = b; at >= 0;) {
          const LoopBuffer& buffer = function.buffers[static_cast<size_t>(at)];
          const bool sliced = buffer.storage == Storage::Slice;
          key += fmt::format("{} {} {} {};", static_cast<int>(buffer.storage), sliced ? buffer.repeat : buffer.ref,
                             buffer.offset, sliced ? byte_size(buffer.type).value_or(0) : 0);
          at = sliced ? buffer.ref : -1;
        }
      }
      for (const DrawSite& draw : identity.draws) key += fmt::format("{} {};", draw.loop, draw.site);
    }
  }
  return key;
}

}  // namespace smelt
