// Prints loops as loops_text.h describes them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "compiler/loops/loops_text.h"
#include "compiler/loops/scalar_names.h"
#include "ir/text_reader.h"

namespace smelt {
namespace {

class LoopPrinter {
 public:
  explicit LoopPrinter(const LoopFunction& function) : function_(function) {
    std::map<std::string_view, int> uses;
    for (const LoopBuffer& buffer : function.buffers) ++uses[buffer.name];
    for (size_t b = 0; b < function.buffers.size(); ++b) {
      const std::string& name = function.buffers[b].name;
      names_.push_back(is_identifier(name) && uses[name] == 1 ? name : fmt::format("#{}", b));
    }
  }

  std::string run() {
    if (!function_.symbols.empty()) out_ += fmt::format("dims {}\n", dims());
    out_ += fmt::format("loops @{} {}\n", is_identifier(function_.name) ? function_.name : quoted(function_.name),
                        header());
    for (size_t b = 0; b < function_.buffers.size(); ++b) out_ += fmt::format("  buffer {}\n", buffer_line(b));
    for (size_t r = 0; r < function_.repeats.size(); ++r) out_ += fmt::format("  repeat {}\n", repeat_line(r));
    for (size_t k = 0; k < function_.kernels.size(); ++k) kernel(k);
    return std::move(out_);
  }

 private:
  std::string dims() const {
    std::vector<std::string> parts;
    for (size_t s = 0; s < function_.symbols.size(); ++s) {
      const DimSymbol& symbol = function_.symbols[s];
      parts.push_back(fmt::format("{}<={}", symbol.name, symbol.bound));
      if (usual_size(function_, Extent(symbol.bound, static_cast<int32_t>(s))) != symbol.bound)
        parts.back() += fmt::format(" usually {}", function_.usual[s]);
    }
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  std::string header() const {
    std::string text = fmt::format("computes {}", to_string(function_.arithmetic));
    if (function_.bf16_products) text += ", may round to bf16";
    if (function_.is_step) text += ", is a step";
    if (function_.lanes)
      text += fmt::format(", lanes {} {}", function_.lanes->count, to_string(function_.lanes->dtype));
    text += fmt::format(", temporaries {} to {}", function_.temporaries.begin, function_.temporaries.end);
    if (function_.runs_offset != 0) text += fmt::format(", runs at {}", function_.runs_offset);
    if (function_.advances) text += ", advances";
    if (function_.stamps_offset >= 0) text += fmt::format(", stamps at {}", function_.stamps_offset);
    return text;
  }

  const std::string& name(int32_t buffer) const { return names_[static_cast<size_t>(buffer)]; }

  std::string buffer_line(size_t b) const {
    const LoopBuffer& buffer = function_.buffers[b];
    std::string text = names_[b];
    if (text[0] == '#') text += " " + quoted(buffer.name);
    text += fmt::format(" = {}", kStorageWords[static_cast<size_t>(buffer.storage)]);
    if (buffer.storage == Storage::Scalar) text += fmt::format(" {}", kSlotWords[static_cast<size_t>(buffer.slot)]);
    if (buffer.storage == Storage::Slice) {
      text += fmt::format(" of {} by r{}", name(buffer.ref), buffer.repeat);
    } else if (buffer.ref >= 0) {
      text += fmt::format(" #{}", buffer.ref);
    }
    text += " " + to_string(buffer.type, function_.symbols);
    if (buffer.offset != 0) text += fmt::format(" at {}", buffer.offset);
    if (buffer.over >= 0) text += fmt::format(", over {}", name(buffer.over));
    if (buffer.storage != Storage::Slice && buffer.repeat >= 0) text += fmt::format(", in r{}", buffer.repeat);
    if (buffer.check_finite) text += ", checked";
    return text;
  }

  std::string repeat_line(size_t r) const {
    const Repeat& repeat = function_.repeats[r];
    std::string text =
        fmt::format("r{} = {} steps of kernels {} to {}", r, extent(repeat.steps), repeat.first, repeat.last);
    if (repeat.parent >= 0) text += fmt::format(", in r{}", repeat.parent);
    if (repeat.until >= 0) text += fmt::format(", until {}", name(repeat.until));
    return repeat.reverse ? text + ", backwards" : text;
  }

  std::string extent(const Extent& e) const { return to_string(e, function_.symbols); }

  const std::string& loop_name(int32_t loop) const { return kernel_->loops[static_cast<size_t>(loop)].name; }

  std::string loop_text(const Loop& loop) const {
    const std::string only = loop.only < 0 ? "" : fmt::format(" at %{}", loop.only);
    return fmt::format("{}<{}{}{}", loop.name, extent(loop.extent), loop.reverse ? " backwards" : "", only);
  }

  std::string loops(int32_t begin, int32_t end) const {
    std::vector<std::string> parts;
    for (int32_t l = begin; l < end; ++l) parts.push_back(loop_text(kernel_->loops[static_cast<size_t>(l)]));
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  std::string affine(const Affine& a) const {
    std::vector<std::string> parts;
    for (const auto& [loop, coefficient] : a.terms)
      parts.push_back(coefficient == 1 ? loop_name(loop) : fmt::format("{}*{}", coefficient, loop_name(loop)));
    if (a.constant != 0 || parts.empty()) parts.push_back(fmt::format("{}", a.constant));
    return fmt::format("{}", fmt::join(parts, " + "));
  }

  std::string access(const Access& a) const {
    std::string text = fmt::format("{}[{}", name(a.buffer), affine(a.offset));
    if (a.row >= 0) text += fmt::format(" + {}*%{} below {}", a.row_stride, a.row, extent(a.row_extent));
    text += "]";
    return a.predicate < 0 ? text : text + fmt::format(" where %{}", a.predicate);
  }

  std::string attributes(const Attributes& attrs) const {
    std::vector<std::string> parts;
    for (const auto& [key, value] : attrs)
      parts.push_back(fmt::format("{} = {}", key, to_string(value, function_.symbols)));
    return parts.empty() ? "" : fmt::format(" {{{}}}", fmt::join(parts, ", "));
  }

  std::string text_of(const Stmt& stmt) const {
    std::vector<std::string> values;
    for (const int32_t operand : stmt.operands) values.push_back(fmt::format("%{}", operand));
    const std::string operands = fmt::format("{}", fmt::join(values, ", "));
    const std::string head = fmt::format("%{}: {} = ", stmt.value, to_string(stmt.dtype));
    switch (stmt.kind) {
      case StmtKind::Load: return head + "load " + access(stmt.access);
      case StmtKind::Store: return fmt::format("store {} = {}", access(stmt.access), operands);
      case StmtKind::Compute:
        return fmt::format("{}{} {}{}", head, name_of(stmt.body), operands, attributes(stmt.attrs));
      case StmtKind::Constant: return fmt::format("{}{}", head, stmt.constant);
      case StmtKind::Index: return fmt::format("{}index {}", head, affine(stmt.index));
      case StmtKind::Extent: return fmt::format("{}extent ${}", head, stmt.symbol);
      case StmtKind::Random:
        return fmt::format("{}{} {}{} draw {}.{} at {}", head, name_of(stmt.body), operands, attributes(stmt.attrs),
                           stmt.draw.loop, stmt.draw.site, affine(stmt.index));
      case StmtKind::Product: return head + "sum of products";
    }
    return head;
  }

  void body(const std::vector<Stmt>& statements, int indent) {
    for (const Stmt& stmt : statements) out_ += fmt::format("{:{}}{}\n", "", indent, text_of(stmt));
  }

  void axis(const char* word, const ProductAxis& a) {
    std::string loop = a.loop < 0 ? "" : loop_name(a.loop) + " ";
    if (a.outer_loop >= 0) loop += fmt::format("by {} in {} ", a.inner, loop_name(a.outer_loop));
    out_ += fmt::format("      {} {}{} ({}, {})\n", word, loop, extent(a.extent), a.a_stride, a.b_stride);
  }

  void product(const Product& p) {
    std::vector<std::string> pairs;
    for (const ProductOperands& pair : p.pairs) pairs.push_back(fmt::format("{} * {}", name(pair.a), name(pair.b)));
    out_ += fmt::format("    product {} {}", to_string(p.dtype), fmt::join(pairs, " + "));
    if (p.a_start != 0 || p.b_start != 0) out_ += fmt::format(" from {}, {}", p.a_start, p.b_start);
    out_ += "\n";
    for (const ProductAxis& a : p.outer) axis("outer", a);
    axis("row", p.row);
    axis("column", p.column);
    for (const ProductAxis& a : p.inner) axis("inner", a);
    if (p.schedule) out_ += fmt::format("      {}\n", schedule(*p.schedule));
  }

  std::string schedule(const ProductSchedule& s) const {
    std::string text =
        fmt::format("{} tile {}x{}", kFormWords[static_cast<size_t>(s.form)], s.tile.rows, s.tile.columns);
    if (s.multiply == Multiply::Bf16Pairs) text += " by pairs";
    text += fmt::format(", left {}", kLeftWords[static_cast<size_t>(s.left)]);
    if (const auto* copied = std::get_if<CopiedColumns>(&s.right)) {
      text += fmt::format(", right copied by {}", copied->steps);
    } else if (const auto* packed = std::get_if<PackedColumns>(&s.right)) {
      text += fmt::format(", right in panels of {}", packed->panel_elements);
    } else {
      text += ", right in place";
    }
    if (s.blocks) text += fmt::format(", blocks of {} summed in {}", s.blocks->positions, name(s.blocks->sums));
    return text;
  }

  void axis(const char* word, const PackAxis& a) {
    out_ += fmt::format("      {} {} ({}, {})\n", word, extent(a.extent), a.from, a.to);
  }

  void pack(const Pack& p) {
    out_ += fmt::format("    pack {} into {} by {} of {}", name(p.from), name(p.to),
                        kPanelWords[static_cast<size_t>(p.form)], p.width);
    if (p.units == PackUnits::Steps) out_ += ", shared by steps";
    if (p.start != 0) out_ += fmt::format(" from {}", p.start);
    out_ += "\n";
    axis("column", p.column);
    axis("depth", p.depth);
    for (const PackAxis& a : p.outer) axis("outer", a);
  }

  void kernel(size_t k) {
    kernel_ = &function_.kernels[k];
    const Kernel& kernel = *kernel_;
    out_ += fmt::format("  kernel {}", name_of(function_, k));
    if (kernel.serial) out_ += " serial";
    if (kernel.by_columns) out_ += " by columns";
    if (kernel.vector_outer) out_ += " in vectors";
    if (kernel.group >= 0) out_ += fmt::format(" group {}", kernel.group);
    if (kernel.flops != 0 || kernel.bytes != 0) out_ += fmt::format(" flops {} bytes {}", kernel.flops, kernel.bytes);
    out_ += "\n";
    const auto num_loops = static_cast<int32_t>(kernel.loops.size());
    if (kernel.num_outer > 0) out_ += fmt::format("    outer {}\n", loops(0, kernel.num_outer));
    if (kernel.num_outer < num_loops) out_ += fmt::format("    loops {}\n", loops(kernel.num_outer, num_loops));
    if (kernel.kind() == KernelKind::Product) product(kernel.product());
    if (kernel.kind() == KernelKind::Pack) pack(kernel.pack());
    body(kernel.setup, 4);
    for (const Sweep& sweep : kernel.sweeps) this->sweep(sweep);
    for (const int32_t guarded : kernel.guarded) out_ += fmt::format("    return unless {} is finite\n", name(guarded));
  }

  void sweep(const Sweep& sweep) {
    out_ += "    sweep\n";
    body(sweep.setup, 6);
    if (sweep.loops.empty() && sweep.body.empty() && sweep.folds.empty()) return;
    std::vector<std::string> names;
    for (const int32_t l : sweep.loops) names.push_back(loop_name(l));
    out_ += fmt::format("      for{}{}{}{}\n", names.empty() ? "" : " ", fmt::join(names, ", "),
                        sweep.ordered ? " in order" : "", sweep.vectorize ? " in vectors" : "");
    for (const Carry& carry : sweep.carries)
      out_ += fmt::format("        carry %{} from %{} next %{} last %{}\n", carry.value, carry.start, carry.next,
                          carry.last);
    body(sweep.body, 8);
    for (const Fold& fold : sweep.folds) {
      out_ += fmt::format("        fold %{}: {} = {} %{} from {}{}\n", fold.result, to_string(fold.dtype),
                          name_of(fold.body), fold.input, fold.identity, attributes(fold.attrs));
    }
  }

  const LoopFunction& function_;
  const Kernel* kernel_ = nullptr;
  std::vector<std::string> names_;
  std::string out_;
};

}  // namespace

std::string print(const LoopFunction& function) { return LoopPrinter(function).run(); }

}  // namespace smelt
