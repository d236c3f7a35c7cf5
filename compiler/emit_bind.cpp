#include "compiler/emit_bind.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "compiler/c_label_check.h"
#include "compiler/c_names.h"

namespace smelt {
namespace {

class BindWriter {
 public:
  BindWriter(const CompiledProgram& program, const CallWrapper& wrapper) : program_(program), wrapper_(wrapper) {}

  std::string run() {
    add("static inline int32_t {0}_bind(const {0}_in *in, {0}_out *out, const void **inputs, void **outputs, int64_t "
        "*extents) {{\n",
        wrapper_.name);
    refuse("in == 0 || out == 0");
    for (const CallMember& size : wrapper_.sizes) {
      refuse(fmt::format("in->{0} < {2} || in->{0} > {1}", size.name,
                         program_.symbols[static_cast<size_t>(size.symbol)].bound, least_of(wrapper_, size)));
    }
    for (const CallMember& input : wrapper_.inputs) check_input(input);
    for (const CallMember& output : wrapper_.outputs) {
      if (!is_scalar(output)) refuse(fmt::format("out->{} == 0", output.name));
    }
    for (size_t i = 0; i < wrapper_.inputs.size(); ++i) add("  inputs[{}] = in->{};\n", i, wrapper_.inputs[i].name);
    for (size_t i = 0; i < wrapper_.outputs.size(); ++i) {
      const CallMember& output = wrapper_.outputs[i];
      add("  outputs[{}] = {}out->{};\n", i, is_scalar(output) ? "&" : "", output.name);
    }
    sizes();
    add("  (void)inputs; (void)outputs; (void)extents;\n  return SMELT_CALL_OK;\n}}\n");
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format(format, std::forward<Args>(args)...);
  }
  void refuse(const std::string& condition) { add("  if ({}) return SMELT_CALL_BAD_ARGUMENT;\n", condition); }

  /// As a C expression; empty where the call does not say it.
  std::string size_of(int32_t symbol) const {
    return size_expression(program_.symbols, symbol, [&](int32_t given) {
      const auto at = std::ranges::find(wrapper_.sizes, given, &CallMember::symbol);
      return at == wrapper_.sizes.end() ? std::string() : "in->" + at->name;
    });
  }

  void check_input(const CallMember& input) {
    refuse(fmt::format("in->{} == 0", input.name));
    if (input.binding->limit.below > 0)
      out_ += label_check(*input.binding, "in->" + input.name, [&](int32_t symbol) { return size_of(symbol); });
    if (input.binding->kind != BindingKind::Rows) return;
    const int32_t rows = row_symbol(program_, *wrapper_.entry, section_of_rows(*input.binding));
    if (rows < 0) return;
    const Extent& batch = input.binding->type.shape[0];
    const auto or_bound = [&](const std::string& size) { return size.empty() ? std::to_string(batch.bound) : size; };
    refuse(fmt::format("!smelt_rows_are_below(in->{}, {}, {})", input.name,
                       or_bound(batch.is_static() ? "" : size_of(batch.symbol)), or_bound(size_of(rows))));
  }

  void sizes() {
    for (const CallMember& size : wrapper_.sizes) add("  extents[{}] = in->{};\n", size.symbol, size.name);
    out_ += sizes_that_follow(program_.symbols, [&](int32_t symbol) { return size_of(symbol); });
    for (const LeastDim& least : wrapper_.entry->least) {  // of a sum, which no member of its own bounds
      if (program_.symbols[static_cast<size_t>(least.symbol)].follows() && !size_of(least.symbol).empty())
        refuse(fmt::format("extents[{}] < {}", least.symbol, least.size));
    }
  }

  const CompiledProgram& program_;
  const CallWrapper& wrapper_;
  std::string out_;
};

}  // namespace

bool is_scalar(const CallMember& output) { return output.binding->type.shape.empty(); }

int64_t least_of(const CallWrapper& wrapper, const CallMember& size) {
  const auto least = std::ranges::find(wrapper.entry->least, size.symbol, &LeastDim::symbol);
  return least == wrapper.entry->least.end() ? 1 : least->size;
}

int32_t row_symbol(const CompiledProgram& program, const Entry& entry, int32_t section) {
  for (const Binding& input : entry.inputs) {
    const bool column = input.kind == BindingKind::Column && !input.type.shape.empty();
    if (column && program.data->columns[static_cast<size_t>(input.ref)].section == section)
      return input.type.shape[0].symbol;
  }
  return -1;
}

std::string emit_bind(const CompiledProgram& program, const CallWrapper& wrapper) {
  return BindWriter(program, wrapper).run();
}

}  // namespace smelt
