#include <fmt/format.h>

#include "compiler/loops/loop_ir.h"

namespace smelt {
namespace {

struct Printer {
  const LoopFunction& function;
  const Kernel& kernel;
  std::string out = {};

  std::string affine(const Affine& a) const {
    std::string text;
    for (const auto& [loop, coefficient] : a.terms) {
      if (!text.empty()) text += " + ";
      const std::string& name = kernel.loops[static_cast<size_t>(loop)].name;
      text += coefficient == 1 ? name : fmt::format("{}*{}", coefficient, name);
    }
    if (a.constant != 0 || text.empty())
      text += text.empty() ? fmt::format("{}", a.constant) : fmt::format(" + {}", a.constant);
    return text;
  }
  std::string access(const Access& a) const {
    std::string text = fmt::format("{}[{}", function.buffers[static_cast<size_t>(a.buffer)].name, affine(a.offset));
    if (a.row >= 0) text += fmt::format(" + {}*%{}", a.row_stride, a.row);
    text += "]";
    if (a.predicate >= 0) text += fmt::format(" where %{}", a.predicate);
    return text;
  }
  static std::string operands(const Stmt& stmt) {
    std::string text;
    for (const int32_t operand : stmt.operands) text += fmt::format("{}%{}", text.empty() ? "" : ", ", operand);
    return text;
  }
  std::string text_of(const Stmt& stmt) const {
    const std::string head = fmt::format("%{}: {} = ", stmt.value, to_string(stmt.dtype));
    switch (stmt.kind) {
      case StmtKind::Load: return head + "load " + access(stmt.access);
      case StmtKind::Store: return fmt::format("store {} = {}", access(stmt.access), operands(stmt));
      case StmtKind::Compute: return fmt::format("{}{} {}", head, stmt.name, operands(stmt));
      case StmtKind::Constant: return fmt::format("{}{}", head, stmt.constant);
      case StmtKind::Index: return fmt::format("{}index {}", head, affine(stmt.index));
      case StmtKind::Extent: return fmt::format("{}extent ${}", head, stmt.symbol);
      case StmtKind::Random: return fmt::format("{}{} {} at {}", head, stmt.name, operands(stmt), affine(stmt.index));
      case StmtKind::Product: return head + "sum of products";
    }
    return head;
  }
  void body(const std::vector<Stmt>& statements, int indent) {
    for (const Stmt& stmt : statements) out += fmt::format("{:{}}{}\n", "", indent, text_of(stmt));
  }
  std::string extent(const Extent& e) const {
    if (e.is_static()) return fmt::format("{}", e.bound);
    return fmt::format("{}<={}", function.symbols[static_cast<size_t>(e.symbol)].name, e.bound);
  }
  std::string axis(const char* name, const ProductAxis& a) const {
    return fmt::format(" {}<{}(a{:+}, b{:+})", name, extent(a.extent), a.a_stride, a.b_stride);
  }

  void run() {
    out += fmt::format("  kernel {}{}\n", kernel.name, kernel.serial ? " serial" : "");
    if (kernel.kind != KernelKind::Nest) {
      const Product& p = kernel.product;
      const auto name = [&](int32_t buffer) { return function.buffers[static_cast<size_t>(buffer)].name; };
      out += fmt::format("    {} {} * {}", kernel.kind == KernelKind::Pack ? "pack" : "product", name(p.a), name(p.b));
      if (p.packed >= 0) out += fmt::format(" packed in {}{}", name(p.packed), p.bf16_pairs ? " by pairs" : "");
      for (const ProductOperands& pair : p.more) {
        out += fmt::format(" + {} * {}", name(pair.a), name(pair.b));
        if (pair.packed >= 0) out += fmt::format(" packed in {}", name(pair.packed));
      }
      constexpr const char* kForms[] = {"", "transposed ", "dot "};  // by ProductForm
      out += fmt::format(" {}tile {}x{}", kForms[static_cast<size_t>(p.form)], p.tile.rows, p.tile.columns);
      if (p.partials >= 0) out += fmt::format(" in blocks of {} summed in {}", p.block, name(p.partials));
      if (p.stretch > 0) out += fmt::format(" in stretches of {}", p.stretch);
      if (p.a_start != 0 || p.b_start != 0) out += fmt::format(" from a+{}, b+{}", p.a_start, p.b_start);
      for (const ProductAxis& a : p.outer) out += axis("outer", a);
      out += axis("row", p.row) + axis("column", p.column);
      for (const ProductAxis& a : p.inner) out += axis("inner", a);
      out += "\n";
    }
    body(kernel.setup, 4);
    if (kernel.kind == KernelKind::Pack) return;
    std::string loops;
    for (int32_t l = 0; l < kernel.num_outer; ++l) {
      loops += fmt::format(" {}<{}", kernel.loops[static_cast<size_t>(l)].name,
                           extent(kernel.loops[static_cast<size_t>(l)].extent));
    }
    out += fmt::format("    parallel{}{}\n", loops, kernel.vector_outer ? " vector" : "");
    for (const Sweep& sweep : kernel.sweeps) {
      body(sweep.setup, 6);
      if (sweep.loops.empty() && kernel.kind == KernelKind::Nest) continue;
      out += "      for";
      for (const int32_t l : sweep.loops) {
        out += fmt::format(" {}<{}", kernel.loops[static_cast<size_t>(l)].name,
                           extent(kernel.loops[static_cast<size_t>(l)].extent));
      }
      out += sweep.vectorize ? " vector\n" : "\n";
      body(sweep.body, 8);
      for (const Fold& fold : sweep.folds) {
        out += fmt::format("        fold %{} = {} %{} from {}\n", fold.result, fold.name, fold.input, fold.identity);
      }
    }
    for (const int32_t guarded : kernel.guarded) {
      out += fmt::format("    return unless {} is finite\n", function.buffers[static_cast<size_t>(guarded)].name);
    }
  }
};

}  // namespace

std::string print(const LoopFunction& function) {
  std::string out = fmt::format("loops @{}\n", function.name);
  for (size_t k = 0; k < function.kernels.size(); ++k) {
    const Kernel& kernel = function.kernels[k];
    for (const Repeat& repeat : function.repeats) {
      if (repeat.first == static_cast<int32_t>(k) && repeat.last > repeat.first)
        out += fmt::format("  repeat {}{}: kernels up to {}\n", to_string(Shape{repeat.steps}, function.symbols),
                           repeat.reverse ? " from the last to the first" : "",
                           function.kernels[static_cast<size_t>(repeat.last) - 1].name);
    }
    Printer printer{function, kernel};
    printer.run();
    out += printer.out;
  }
  return out;
}

}  // namespace smelt
